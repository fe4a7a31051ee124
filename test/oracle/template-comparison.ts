import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ChatTemplate, type RenderOptions, Tokenizer } from '../../src/index.ts'

// Renders and encodes what the references rendered and encoded, for the committed fixtures and for the live oracle.

export const TEMPLATES = new URL('./fixtures/templates/', import.meta.url).pathname
const SHAPES: Record<string, string> = {
  ...{ 'qwen2.5': 'qwen2', qwen3: 'qwen2', 'llama-3.1': 'llama3', operations: 'llama3' },
}
/** The clock of the references; months count from 0. */
const NOW = new Date(2026, 2, 5, 7, 8, 9)

interface Case {
  template: string
  messages: { role: string }[]
  options: { add_generation_prompt: boolean; enable_thinking?: boolean; tools?: Record<string, unknown>[] }
  variables: Record<string, unknown>
  text?: string
  ids?: number[]
  error?: string
}

export interface Comparison {
  compared: number
  /** Conversations that both refuse. */
  refused: number
  /** Strings that differ and have characters that some Unicode version among the libraries does not know yet. */
  younger: number
  differences: string[]
}

const rows = <T>(path: string): T[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

/** Renders conversations.jsonl and encodes the texts with the tokenizers in `folder`. */
export async function compareTemplates(folder: string): Promise<Comparison> {
  const found: Comparison = { compared: 0, refused: 0, younger: 0, differences: [] }
  const tokenizers = await tokenizersIn(folder)
  const templates = new Map<string, ChatTemplate>()
  for (const expected of rows<Case>(join(folder, 'conversations.jsonl'))) {
    const { template: name } = expected
    const tokenizer = tokenizers.get(SHAPES[name]!)!
    let template = templates.get(name)
    if (template === undefined) {
      const source = readFileSync(join(TEMPLATES, `${name}.jinja`), 'utf8')
      template = new ChatTemplate(source, name, specialTokens(tokenizer.config))
      templates.set(name, template)
    }
    found.compared++
    let text: string | undefined
    try {
      text = template.render(expected.messages, renderOptions(expected))
    } catch (error) {
      if (expected.error !== undefined) found.refused++
      else found.differences.push(`${name}: ${error}: ${JSON.stringify(expected.messages)}`)
      continue
    }
    if (text !== expected.text) {
      found.differences.push(`${name}: ${JSON.stringify([text, expected.text ?? expected.error])}`)
    } else if (!sameIds(tokenizer.encode(text, { addSpecialTokens: false }), expected.ids!)) {
      found.differences.push(`${name}: ids of ${JSON.stringify(text)}`)
    }
  }
  return found
}

/** Encodes the strings of ids.jsonl of one tokenizer's folder, and decodes their ids. */
export async function compareIds(folder: string): Promise<Comparison> {
  const found: Comparison = { compared: 0, refused: 0, younger: 0, differences: [] }
  const tokenizer = await Tokenizer.load(folder)
  for (const [text, ids, plain, isYoung] of rows<[string, number[], number[], boolean]>(
    join(folder, 'ids.jsonl'),
  )) {
    found.compared++
    const own = tokenizer.encode(text, { addSpecialTokens: false })
    if (sameIds(tokenizer.encode(text), ids) && sameIds(own, plain)) continue
    if (isYoung || /\p{Cn}/u.test(text)) found.younger++
    else found.differences.push(`${folder}: ${JSON.stringify([text, Array.from(own), plain])}`)
  }
  return found
}

async function tokenizersIn(folder: string): Promise<Map<string, Tokenizer>> {
  const shapes = [...new Set(Object.values(SHAPES))]
  return new Map(
    await Promise.all(
      shapes.map(async (shape) => [shape, await Tokenizer.load(join(folder, shape))] as const),
    ),
  )
}

function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const named = Object.entries(config).filter(([name]) => name.endsWith('_token'))
  return Object.fromEntries(named) as Record<string, string>
}

function renderOptions({ options, variables }: Case): RenderOptions {
  const { add_generation_prompt: addGenerationPrompt, enable_thinking: enableThinking, tools } = options
  return {
    ...{ addGenerationPrompt, variables, date: NOW },
    ...(enableThinking !== undefined && { enableThinking }),
    ...(tools !== undefined && { tools }),
  }
}

function sameIds(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return a.length === b.length && Array.from(a).every((id, i) => id === b[i])
}
