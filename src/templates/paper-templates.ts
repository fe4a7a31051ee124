/** A template without logic: the text around a prompt. */
export interface RawTemplate {
  /** The system message that `--system` replaces. */
  readonly system: string
  render(prompt: string, system: string): string
}

const SYSTEM = 'You are a helpful assistant.'
const INSTRUCTION = 'Please reason step by step, and put your final answer within \\boxed{}.'

function chatMl(prompt: string, system: string, opening: string): string {
  const turn = (role: string, text: string) => `<|im_start|>${role}\n${text}<|im_end|>\n`
  return `${turn('system', system)}${turn('user', prompt)}<|im_start|>assistant\n${opening}`
}

/**
 * The prompts of "The Surprising Effectiveness of Negative Reinforcement in LLM Reasoning" (arXiv 2506.01347), as raw
 * text: ChatML, the problem, a line with the instruction. For Qwen3 an empty thought opens the answer.
 */
export const PAPER_TEMPLATES = {
  'qwen-math': {
    system: SYSTEM,
    render: (prompt, system) => chatMl(`${prompt}\n${INSTRUCTION}`, system, ''),
  },
  'qwen3-math': {
    system: SYSTEM,
    render: (prompt, system) => chatMl(`${prompt}\n${INSTRUCTION}`, system, '<think>\n\n</think>\n\n'),
  },
} as const satisfies Record<string, RawTemplate>
