import { extname } from 'node:path'
import type { PromptMessage } from './data/messages.ts'
import { type PromptOptions, resolveRowOptions } from './data/options.ts'
import { PromptMapper, type PromptText } from './data/prompt-mapper.ts'
import { selectRows } from './data/select-rows.ts'
import { type DataSource, dataFilesOf } from './data/sources.ts'
import { CoppiceError, describeValue, invalidArgument } from './errors.ts'
import { hasColumn, int32List, makeBatch, type RolloutBatch, textColumn } from './rollouts.ts'
import { encodePrompt, type PromptTemplate } from './templates.ts'
import type { Tokenizer } from './tokenizer.ts'

/** A prompt, as `generate` takes it. */
export interface PromptRow {
  promptId: string
  prompt: string
  /** What the verifier needs to check an answer; empty where there is nothing. */
  reference: string
  /** Not empty. */
  promptTokens: Int32Array
  /** The chat that the prompt was, where it was one; `prompt` is then what the user says in it. */
  messages?: readonly PromptMessage[]
}

export interface ReadPromptsOptions extends PromptOptions {
  /** What makes the model's text out of a prompt or a chat. Default: the text as it stands. */
  template?: PromptTemplate
}

/**
 * Reads prompts from a .jsonl, .json, .csv, .parquet or .arrow file, several such files, or a data set of the Hugging Face hub
 * by its id (`org/name`, with `revision`, `subset` and `split`). Their columns are found by their names
 * (`prompt_id`, `prompt`, `reference`, `prompt_tokens`, or those of a known layout) unless the options name them. Ids that
 * are missing are row numbers; tokens that are missing come from the tokenizer, under
 * `template` (default: the text as it stands).
 */
export async function readPrompts(
  source: DataSource,
  tokenizer?: Tokenizer,
  options: ReadPromptsOptions = {},
): Promise<PromptRow[]> {
  const { template, ...dataOptions } = options
  const resolved = resolveRowOptions(dataOptions)
  const files = await dataFilesOf(source, options)
  const isArrow = files.paths.some((path) => extname(path) === '.arrow')
  const mapper = new PromptMapper(dataOptions, files.label, isArrow)
  return selectRows<PromptText, PromptRow>(files, resolved, {
    choose: (columns) => mapper.begin(columns),
    map: (row) => mapper.map(row),
    finish: ({ number, place, value }) => {
      const { tokens, promptId, ...texts } = value
      const where = `${files.label}, ${place}`
      if (tokens !== undefined) refuseTemplateOverTokens(template, where)
      const promptTokens = tokens ?? encode(texts, tokenizer, where, template)
      if (promptTokens.length === 0) {
        return {
          fault: {
            reason: 'an empty prompt',
            expected: 'a prompt of at least one token',
            received: describeValue(texts.prompt),
          },
        }
      }
      return { promptId: promptId ?? String(number), ...texts, promptTokens }
    },
    // First the texts, then what became of them.
    sizeOf: (row) =>
      'promptTokens' in row ? row.promptTokens.byteLength : row.prompt.length + row.reference.length,
  })
}

/** The prompts in a batch, one a row. `where` names their source in errors. */
export function promptsOf(
  batch: RolloutBatch,
  tokenizer?: Tokenizer,
  where = 'prompts',
  template?: PromptTemplate,
): PromptRow[] {
  const text = (name: string) => (hasColumn(batch, name) ? textColumn(batch, name) : undefined)
  const ids = text('prompt_id')
  const prompts = text('prompt')
  const references = text('reference')
  const tokens = hasColumn(batch, 'prompt_tokens') ? int32List(batch, 'prompt_tokens') : undefined
  if (prompts === undefined && tokens === undefined) {
    throw new CoppiceError('INVALID_ARGUMENT', 'no prompts', {
      where,
      expected: "a column 'prompt' or 'prompt_tokens'",
    })
  }
  if (tokens !== undefined) refuseTemplateOverTokens(template, where)
  return Array.from({ length: batch.numRows }, (_, row) => {
    const prompt = prompts?.[row] ?? ''
    const promptTokens =
      tokens === undefined
        ? encode({ prompt }, tokenizer, `${where}, row ${row}`, template)
        : tokens.values.subarray(tokens.offsets[row], tokens.offsets[row + 1])
    if (promptTokens.length === 0)
      throw invalidArgument(`${where}, row ${row}`, 'a prompt of at least one token', prompt)
    return { promptId: ids?.[row] ?? String(row), prompt, reference: references?.[row] ?? '', promptTokens }
  })
}

/** Prompts as a batch of the columns prompt_id, prompt, reference and prompt_tokens, for `writeTable`. */
export function promptBatch(prompts: readonly PromptRow[]): RolloutBatch {
  const offsets = new Int32Array(prompts.length + 1)
  prompts.forEach(({ promptTokens }, i) => {
    offsets[i + 1] = offsets[i]! + promptTokens.length
  })
  const values = new Int32Array(offsets[prompts.length]!)
  prompts.forEach(({ promptTokens }, i) => {
    values.set(promptTokens, offsets[i])
  })
  return makeBatch(prompts.length, {
    prompt_id: prompts.map(({ promptId }) => promptId),
    prompt: prompts.map(({ prompt }) => prompt),
    reference: prompts.map(({ reference }) => reference),
    prompt_tokens: { values, offsets },
  })
}

function refuseTemplateOverTokens(template: PromptTemplate | undefined, where: string): void {
  if (template === undefined || template.name === 'none') return
  throw new CoppiceError('INVALID_ARGUMENT', `prompt_tokens under the template '${template.name}'`, {
    where,
    expected: "prompts as text, or the template 'none'",
  })
}

function encode(
  { prompt, messages }: Pick<PromptRow, 'prompt' | 'messages'>,
  tokenizer: Tokenizer | undefined,
  where: string,
  template: PromptTemplate | undefined,
): Int32Array {
  if (tokenizer === undefined) {
    throw new CoppiceError('INVALID_ARGUMENT', 'text without a tokenizer', {
      where,
      expected: "a model folder with tokenizer.json, or a column 'prompt_tokens'",
    })
  }
  if (template === undefined) return tokenizer.encode(prompt)
  try {
    return encodePrompt(tokenizer, template, prompt, messages)
  } catch (cause) {
    if (!(cause instanceof CoppiceError)) throw cause
    throw new CoppiceError(cause.code, cause.message, { where, cause })
  }
}
