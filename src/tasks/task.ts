import { createHash } from 'node:crypto'
import { CoppiceError, describeValue } from '../errors.ts'
import { refuseUnknownKeys, requireInteger, requireOneOf } from '../options.ts'
import type { TokenizerDefinition } from '../tokenizer-definition.ts'
import type { Verifier } from '../verdicts.ts'
import { definitionEncoder } from './definition-encoder.ts'
import { hashText, Random } from './random.ts'

// The page to read before writing a task: what a task is, and `defineTask`, which makes one from a single function.

/** Policies train on `train`; settings are chosen on `tune`; figures that are reported come from `heldout`. */
export const splits = ['train', 'tune', 'heldout'] as const
export type Split = (typeof splits)[number]

/** The share of all instances that falls to each split, decided by a hash of the instance and by nothing else. */
export const splitShares: Readonly<Record<Split, number>> = { train: 0.7, tune: 0.1, heldout: 0.2 }

/** A prompt as text: what a task makes; a tokenizer turns it into a `PromptRow`. */
export interface TaskPrompt {
  /** The task's name and a hash of the prompt: the same prompt has the same id in every run. */
  promptId: string
  prompt: string
  /** What the task's verifier needs to judge an answer. */
  reference: string
}

export interface Demonstration {
  prompt: string
  /** Without the end token, which belongs behind every completion. */
  completion: string
}

/** Demonstrations as token ids: row i is `tokens[offsets[i]] .. tokens[offsets[i + 1] - 1]`. */
export interface DemonstrationTokens {
  /** Prompt, completion and (where the tokenizer has one) end token of every row, one after the other. */
  tokens: Int32Array
  /** One more entry than rows; starts at 0. */
  offsets: Int32Array
  /** The number of each row's tokens that belong to its prompt. */
  promptLengths: Int32Array
}

/** A problem that makes and checks itself. */
export interface Task {
  readonly name: string
  readonly description: string
  /** Every option with the value in force, for the record of a run. */
  readonly options: Readonly<Record<string, TaskOptionValue>>
  readonly tokenizer: TokenizerDefinition
  /** Tokens in the longest prompt. */
  readonly maxPromptLength: number
  /** Tokens in the longest correct completion, the end token included. */
  readonly maxCompletionLength: number
  readonly verifier: Verifier
  /**
   * `count` prompts, no two alike. Splits share no instance, whatever the seeds; a longer list with the same seed
   * starts with the shorter one. INVALID_ARGUMENT where the split has fewer prompts.
   */
  prompts(split: Split, count: number, seed: number): TaskPrompt[]
  /**
   * Demonstrations number `first` to `first + count - 1` of the endless list that belongs to `seed`; instances come
   * from the train split. They are diverse and partly wrong, so that a policy trained on them has something to learn.
   */
  demonstrations(count: number, seed: number, first?: number): Demonstration[]
  /** The same rows as `demonstrations`, as token ids. */
  demonstrationTokens(count: number, seed: number, first?: number): DemonstrationTokens
  /** Equal for completions that give the same answer in other words; for counting distinct correct answers. */
  distinctKey(completion: string): string
}

export type TaskOptionValue = number | string | boolean

/** One drawn instance with a demonstration of how to answer it. */
export interface TaskRow {
  prompt: string
  reference: string
  /** What a demonstration shows; only read when rows are drawn as demonstrations. */
  completion: string
  /** What makes two instances the same: all rows of one key fall to one split. Default: the prompt. */
  key?: string
}

/** What a task must bring; `defineTask` makes the rest. */
export interface TaskParts {
  name: string
  description: string
  options?: Readonly<Record<string, TaskOptionValue>>
  tokenizer: TokenizerDefinition
  maxPromptLength: number
  maxCompletionLength: number
  verifier: Verifier
  /**
   * Draws one row. Every random choice comes from `random`. `use` lets the difficulty differ by split; the split is
   * enforced from outside, by drawing again until the row's key belongs to it.
   */
  draw(random: Random, use: Split | 'demonstration'): TaskRow
  /** Default: the completion with its white space collapsed. */
  distinctKey?(completion: string): string
}

/** How many draws in a row may bring nothing new before a split counts as used up. */
const FRUITLESS_DRAWS = 100_000

/** Makes a task from its parts; see docs/tasks.md for one in ten lines. */
export function defineTask(parts: TaskParts): Task {
  refuseUnknownKeys(parts, partNames, 'defineTask')
  requireInteger(parts.maxPromptLength, 'maxPromptLength', 1)
  requireInteger(parts.maxCompletionLength, 'maxCompletionLength', 1)
  const { name, maxPromptLength, maxCompletionLength } = parts
  const { tokens: vocabulary, endToken } = parts.tokenizer
  const encode = definitionEncoder(parts.tokenizer)

  function* rows(count: number, seed: number, first: number): Generator<TaskRow> {
    requireInteger(count, 'count', 0)
    requireInteger(first, 'first', 0)
    const random = new Random(seed, `${name} demonstrations`)
    for (let row = first; row < first + count; row++) {
      random.at(row)
      yield drawFrom('train', () => parts.draw(random, 'demonstration'))
    }
  }

  /** Draws until the row belongs to the split. */
  function drawFrom(split: Split, draw: () => TaskRow): TaskRow {
    for (let tries = 0; tries < FRUITLESS_DRAWS; tries++) {
      const row = draw()
      if (splitOf(name, row.key ?? row.prompt) === split) return row
    }
    throw new CoppiceError('INVALID_ARGUMENT', `the ${split} split is empty`, { where: `task ${name}` })
  }

  function requireLength(length: number, limit: number, what: string, text: string): void {
    if (length <= limit) return
    throw new CoppiceError('INVALID_ARGUMENT', `a ${what} is longer than the task says`, {
      where: `task ${name}, ${describeValue(text)}`,
      expected: `${limit} tokens at most`,
      received: String(length),
    })
  }

  return {
    name,
    description: parts.description,
    options: parts.options ?? {},
    tokenizer: parts.tokenizer,
    maxPromptLength,
    maxCompletionLength,
    verifier: parts.verifier,

    prompts(split, count, seed) {
      requireOneOf(split, 'split', splits)
      requireInteger(count, 'count', 0)
      const random = new Random(seed, `${name} ${split}`)
      const found = new Map<string, TaskPrompt>()
      let fruitless = 0
      while (found.size < count) {
        const { prompt, reference } = drawFrom(split, () => parts.draw(random, split))
        const promptId = `${name}-${createHash('sha256').update(prompt).digest('hex').slice(0, 12)}`
        if (found.has(promptId) && ++fruitless === FRUITLESS_DRAWS) {
          throw new CoppiceError('INVALID_ARGUMENT', `the ${split} split has too few prompts`, {
            where: `task ${name}`,
            expected: `a count of about ${found.size} at most`,
            received: String(count),
          })
        }
        if (found.has(promptId)) continue
        fruitless = 0
        found.set(promptId, { promptId, prompt, reference })
      }
      return [...found.values()]
    },

    demonstrations(count, seed, first = 0) {
      return Array.from(rows(count, seed, first), ({ prompt, completion }) => ({ prompt, completion }))
    },

    demonstrationTokens(count, seed, first = 0) {
      requireInteger(count, 'count', 0)
      const tokens = new Int32Array(count * (maxPromptLength + maxCompletionLength))
      const offsets = new Int32Array(count + 1)
      const promptLengths = new Int32Array(count)
      let row = 0
      for (const { prompt, completion } of rows(count, seed, first)) {
        const start = offsets[row]!
        const promptEnd = encode(prompt, tokens, start)
        let end = encode(completion, tokens, promptEnd)
        if (endToken !== undefined) tokens[end++] = vocabulary.indexOf(endToken)
        requireLength(promptEnd - start, maxPromptLength, 'prompt', prompt)
        requireLength(end - promptEnd, maxCompletionLength, 'completion', completion)
        promptLengths[row] = promptEnd - start
        offsets[++row] = end
      }
      return { tokens: tokens.slice(0, offsets[count]), offsets, promptLengths }
    },

    distinctKey: parts.distinctKey ?? ((completion) => completion.trim().replace(/\s+/g, ' ')),
  }
}

/** The split of an instance: a matter of the task's name and the instance's key alone. */
export function splitOf(taskName: string, key: string): Split {
  const place = hashText(key, hashText(taskName)) / 2 ** 32
  if (place < splitShares.train) return 'train'
  return place < splitShares.train + splitShares.tune ? 'tune' : 'heldout'
}

/** Whether a value has a task's shape: what a file given as a task must export. */
export function requireTask(value: unknown, where: string): Task {
  const task = value as Task | null
  const isTask =
    typeof task === 'object' &&
    task !== null &&
    typeof task.name === 'string' &&
    [task.prompts, task.demonstrations, task.demonstrationTokens, task.verifier, task.distinctKey].every(
      (member) => typeof member === 'function',
    )
  if (isTask) return task
  throw new CoppiceError('INVALID_ARGUMENT', 'not a task', {
    where,
    expected: 'what defineTask returns, as default export',
    received: describeValue(value),
  })
}

const partNames = [
  'name',
  'description',
  'options',
  'tokenizer',
  'maxPromptLength',
  'maxCompletionLength',
  'verifier',
  'draw',
  'distinctKey',
]
