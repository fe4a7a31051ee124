import { CoppiceError } from '../errors.ts'
import { resolveModel } from '../hub.ts'
import { nearest, refuseUnknownKeys } from '../options.ts'
import type { Tokenizer } from '../tokenizer.ts'
import type { ChatMessage, ChatTemplate, RenderOptions } from './chat-template.ts'
import { readChatTemplate, readTemplateFile } from './model-template.ts'
import { PAPER_TEMPLATES, type RawTemplate } from './paper-templates.ts'

export interface PromptTemplateOptions {
  /**
   * `none`: prompts as they stand; `chat`, or `chat:NAME` where it has several: the model's own chat template; the name
   * of a raw template of the paper, `qwen-math` or `qwen3-math`; or a Jinja file, by its path. Default `none`.
   */
  template?: string
  /** The model's folder, or its id on the Hugging Face hub: its chat template and its special tokens. */
  model?: string
  /** A branch, a tag or a commit of a model on the hub. */
  revision?: string
  /** The system message; without it a chat template gets none, a raw template has its own. */
  system?: string
  /** `enable_thinking` of a chat template; without it the template decides. */
  enableThinking?: boolean
  /** What the template takes for now. Default: the clock. */
  date?: Date
  /** Further names that a chat template sees. */
  variables?: Readonly<Record<string, unknown>>
}

/** How the text of a prompt becomes what the model reads. */
export interface PromptTemplate {
  readonly name: string
  /** Whether the tokenizer adds its special tokens; a template writes them itself. */
  readonly addSpecialTokens: boolean
  render(prompt: string): string
  /** A whole chat, where the template is one for chats; its own system message gives way to the one that was asked for. */
  renderChat?(messages: readonly ChatMessage[]): string
}

const KEYS = ['template', 'model', 'revision', 'system', 'enableThinking', 'date', 'variables']

/** Names of the templates that need no file. */
export const templateNames: readonly string[] = ['none', 'chat', ...Object.keys(PAPER_TEMPLATES)]

/** The template that a name or a file stands for. INVALID_ARGUMENT, DATA_CORRUPT, and those of `resolveModel`. */
export async function loadPromptTemplate(options: PromptTemplateOptions = {}): Promise<PromptTemplate> {
  refuseUnknownKeys(options, KEYS, 'loadPromptTemplate')
  const name = options.template ?? 'none'
  if (name === 'none') {
    refuseOptions(name, options, ['system', 'enableThinking', 'date', 'variables'])
    return { name, addSpecialTokens: true, render: (prompt) => prompt }
  }
  if (Object.hasOwn(PAPER_TEMPLATES, name)) {
    refuseOptions(name, options, ['enableThinking', 'date', 'variables'])
    return rawPromptTemplate(name, PAPER_TEMPLATES[name as keyof typeof PAPER_TEMPLATES], options.system)
  }
  return chatPromptTemplate(name, await chatTemplateOf(name, options), options)
}

/**
 * The ids of a prompt under a template: what the model reads, special tokens once. `messages`: the chat that the prompt was;
 * a template that is none for chats takes `prompt`.
 */
export function encodePrompt(
  tokenizer: Tokenizer,
  template: PromptTemplate,
  prompt: string,
  messages?: readonly ChatMessage[],
): Int32Array {
  const text =
    messages !== undefined && template.renderChat !== undefined
      ? template.renderChat(messages)
      : template.render(prompt)
  return tokenizer.encode(text, { addSpecialTokens: template.addSpecialTokens })
}

function rawPromptTemplate(name: string, raw: RawTemplate, system: string | undefined): PromptTemplate {
  return {
    name,
    addSpecialTokens: false,
    render: (prompt) => raw.render(prompt, system ?? raw.system),
  }
}

function chatPromptTemplate(
  name: string,
  template: ChatTemplate,
  options: PromptTemplateOptions,
): PromptTemplate {
  const { system, enableThinking, date, variables } = options
  const opening: ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }]
  const rendering: RenderOptions = {
    addGenerationPrompt: true,
    ...(enableThinking !== undefined && { enableThinking }),
    ...(date !== undefined && { date }),
    ...(variables !== undefined && { variables }),
  }
  return {
    name,
    addSpecialTokens: false,
    render: (prompt) => template.render([...opening, { role: 'user', content: prompt }], rendering),
    renderChat: (messages) => {
      const turns = system === undefined ? messages : messages.filter(({ role }) => role !== 'system')
      return template.render([...opening, ...turns], rendering)
    },
  }
}

async function chatTemplateOf(
  name: string,
  { model, revision }: PromptTemplateOptions,
): Promise<ChatTemplate> {
  const folder = () =>
    resolveModel(model!, { parts: 'tokenizer', ...(revision !== undefined && { revision }) })
  if (name === 'chat' || name.startsWith('chat:')) {
    if (model === undefined) {
      throw new CoppiceError('INVALID_ARGUMENT', 'a chat template without a model', {
        where: `template '${name}'`,
        expected: "the model's folder",
      })
    }
    return readChatTemplate(await folder(), name === 'chat' ? {} : { name: name.slice('chat:'.length) })
  }
  if (/[./\\]/.test(name)) return readTemplateFile(name, model === undefined ? undefined : await folder())
  const near = nearest(name, templateNames)
  throw new CoppiceError('INVALID_ARGUMENT', `unknown template '${name}'`, {
    expected:
      near === undefined ? `one of ${templateNames.join(', ')}, or a Jinja file` : `did you mean '${near}'?`,
  })
}

function refuseOptions(name: string, options: PromptTemplateOptions, keys: readonly string[]): void {
  const key = keys.find((each) => options[each as keyof PromptTemplateOptions] !== undefined)
  if (key === undefined) return
  throw new CoppiceError('INVALID_ARGUMENT', `the template '${name}' takes no ${key}`, {
    expected: key === 'system' ? 'a template with messages' : 'a chat template',
  })
}
