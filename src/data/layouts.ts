import { CoppiceError } from '../errors.ts'
import { nearest } from '../options.ts'
import type { ReferenceForm } from './references.ts'

/** Which columns make a prompt. Names may be paths into nested values. */
export interface ColumnMapping {
  /** A text, or chat messages. */
  prompt?: string
  /** Whether a text in that column is the JSON of chat messages. */
  isChat?: boolean
  reference?: { column: string; form: ReferenceForm }
  id?: string
  /** A list of token ids, which are then what the model sees. */
  tokens?: string
}

/** Columns that somebody names; they go before what a layout says, and are taken as they are. */
export interface ColumnOptions {
  promptColumn?: string
  /** Chat messages; goes before `promptColumn`. */
  messagesColumn?: string
  referenceColumn?: string
  idColumn?: string
}

const IDS = ['id', 'unique_id', 'problem_id']

/** The layouts that map by themselves, for messages. */
export const knownLayouts =
  "'prompt' or 'prompt_tokens' with 'reference' (coppice), 'prompt' with 'reward_model.ground_truth' (DAPO-Math), " +
  "'problem' with 'answer' (AIME, AMC, DeepScaleR) or 'solution' (MATH), 'question' with 'answer' (GSM8K), 'messages'"

/**
 * What the columns' names say: the first layout that fits, with the columns that the options name in place of its own.
 * Undefined where neither names a prompt. A name stands for itself in any case of its letters.
 */
export function mappingOf(
  columns: readonly string[],
  options: ColumnOptions = {},
): ColumnMapping | undefined {
  const { promptColumn, messagesColumn, referenceColumn, idColumn } = options
  const layout = layoutOf(columns) ?? referenceAlone(columns)
  const prompt = messagesColumn ?? promptColumn
  const { tokens, ...texts } = layout
  if (prompt === undefined && texts.prompt === undefined && tokens === undefined) return undefined
  return {
    ...(prompt === undefined ? layout : { ...texts, prompt, isChat: messagesColumn !== undefined }),
    ...(referenceColumn !== undefined && { reference: { column: referenceColumn, form: 'plain' } }),
    ...(idColumn !== undefined && { id: idColumn }),
  }
}

/** Where only the prompt needs naming. */
function referenceAlone(columns: readonly string[]): ColumnMapping {
  const id = columns.find((name) => name === 'prompt_id' || IDS.includes(name.toLowerCase()))
  const withId = id === undefined ? {} : { id }
  const plain = (column: string) => ({ reference: { column, form: 'plain' as const }, ...withId })
  if (columns.includes('reference')) return plain('reference')
  if (columns.includes('reward_model')) return plain('reward_model.ground_truth')
  const answer = columns.find((name) => name.toLowerCase() === 'answer')
  return answer === undefined ? withId : { reference: { column: answer, form: 'hashes' }, ...withId }
}

function layoutOf(columns: readonly string[]): ColumnMapping | undefined {
  const has = (name: string) => columns.includes(name)
  // Our own columns, as they are written; what else there is has no say.
  if (has('prompt') || has('prompt_tokens')) {
    return {
      ...(has('prompt') && { prompt: 'prompt' }),
      ...(has('prompt_tokens') && { tokens: 'prompt_tokens' }),
      ...(has('prompt_id') && { id: 'prompt_id' }),
      ...(has('reference')
        ? { reference: { column: 'reference', form: 'plain' } }
        : has('reward_model') && { reference: { column: 'reward_model.ground_truth', form: 'plain' } }),
    }
  }
  const find = (...names: string[]) => {
    for (const name of names) {
      const found = columns.find((column) => column.toLowerCase() === name)
      if (found !== undefined) return found
    }
    return undefined
  }
  const [problem, question, answer, solution] = ['problem', 'question', 'answer', 'solution'].map((name) =>
    find(name),
  )
  const id = find(...IDS)
  const withId = id === undefined ? {} : { id }
  if (problem !== undefined && answer !== undefined) {
    return { prompt: problem, reference: { column: answer, form: 'plain' }, ...withId }
  }
  if (problem !== undefined && solution !== undefined) {
    return { prompt: problem, reference: { column: solution, form: 'boxed' }, ...withId }
  }
  if (question !== undefined && answer !== undefined) {
    return { prompt: question, reference: { column: answer, form: 'hashes' }, ...withId }
  }
  const messages = find('messages')
  if (messages === undefined) return undefined
  const reference = find('reference') ?? answer
  return {
    prompt: messages,
    isChat: true,
    ...(reference !== undefined && { reference: { column: reference, form: 'plain' } }),
    ...withId,
  }
}

export function missingColumn(path: string, columns: readonly string[], where: string): CoppiceError {
  const near = nearest(path, columns)
  return new CoppiceError('INVALID_ARGUMENT', `no column '${path}'`, {
    where,
    expected: near === undefined ? 'a column of the file' : `did you mean '${near}'?`,
    received: listed(columns),
  })
}

export function noPromptColumn(columns: readonly string[], where: string): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', 'no prompts', {
    where,
    expected: `${knownLayouts}; or the column named (--prompt-column, --messages-column)`,
    received: listed(columns),
  })
}

function listed(columns: readonly string[]): string {
  if (columns.length === 0) return 'no columns'
  return `the columns ${columns.slice(0, 24).join(', ')}${columns.length > 24 ? ', ...' : ''}`
}
