import {
  type DataType,
  Dictionary,
  Field,
  Float32,
  Int8,
  Int32,
  List,
  type RecordBatch,
  Schema,
  Uint8,
  Uint64,
  Utf8,
  type Vector,
  vectorFromArray,
} from 'apache-arrow'
import type { Sample, Verdict } from '../verdicts.ts'

// The columns that stages add to a batch of rollouts. A stage only ever adds columns; names and types are the same in
// Arrow files, in JSONL files and in memory.

/** Rows of one group, a prompt's completions, stand together. */
export type RolloutBatch = RecordBatch

export type FinishReason = Sample['finishReason']

export const FINISH_REASONS: readonly FinishReason[] = ['stop', 'length', 'cancelled']
export const VERDICTS: readonly Verdict[] = ['right', 'wrong', 'unparsed', 'timed-out']

export const listOf = <T extends DataType>(type: T): List<T> => new List(new Field('item', type, true))

/** A closed set of words, stored as one small number a row. */
interface Words {
  readonly allowed: readonly string[]
  readonly type: Dictionary<Utf8, Int8>
  readonly dictionary: Vector<Utf8>
}

// One vector and one type each: batches that share a dictionary can be written to one file without rewriting it.
const words = (allowed: readonly string[], id: number): Words => ({
  allowed,
  type: new Dictionary(new Utf8(), new Int8(), id),
  dictionary: vectorFromArray([...allowed], new Utf8()),
})
const finishReasonWords = words(FINISH_REASONS, 1)
const verdictWords = words(VERDICTS, 2)

/** The words of one of coppice's own dictionary types. */
export function wordsOf(type: DataType): Words | undefined {
  return [finishReasonWords, verdictWords].find((words) => words.type === type)
}

interface Column {
  type: DataType
  nullable: boolean
}

/** Every column that coppice knows. A file may hold others; they pass through. */
export const KNOWN_COLUMNS = {
  // prompts
  prompt_id: { type: new Utf8(), nullable: false },
  prompt: { type: new Utf8(), nullable: false },
  reference: { type: new Utf8(), nullable: false },
  prompt_tokens: { type: listOf(new Int32()), nullable: false },
  // rollouts
  group_id: { type: new Int32(), nullable: false },
  sample_index: { type: new Int32(), nullable: false },
  completion_tokens: { type: listOf(new Int32()), nullable: false },
  completion: { type: new Utf8(), nullable: false },
  completion_mask: { type: listOf(new Uint8()), nullable: false },
  logprobs: { type: listOf(new Float32()), nullable: false },
  sampler_logprobs: { type: listOf(new Float32()), nullable: true },
  temperature: { type: new Float32(), nullable: false },
  finish_reason: { type: finishReasonWords.type, nullable: false },
  seed: { type: new Uint64(), nullable: false },
  policy_step: { type: new Int32(), nullable: false },
  // verdicts: a reward of null abstains
  reward: { type: new Float32(), nullable: true },
  verdict: { type: verdictWords.type, nullable: true },
  // of the greedy completion of the row's prompt
  baseline_reward: { type: new Float32(), nullable: true },
  // advantages: null where the row takes no part in the update
  advantages: { type: listOf(new Float32()), nullable: true },
  // what a critic expects from each token on
  values: { type: listOf(new Float32()), nullable: true },
  // score
  scored_logprobs: { type: listOf(new Float32()), nullable: true },
  entropies: { type: listOf(new Float32()), nullable: true },
  ref_logprobs: { type: listOf(new Float32()), nullable: true },
  // the input of grad
  token_weights: { type: listOf(new Float32()), nullable: true },
} as const satisfies Record<string, Column>

export type KnownColumn = keyof typeof KNOWN_COLUMNS

const PROMPT_COLUMNS = ['prompt_id', 'prompt', 'reference', 'prompt_tokens'] as const
const ROLLOUT_COLUMNS = [
  'group_id',
  'sample_index',
  'completion_tokens',
  'completion',
  'completion_mask',
  'logprobs',
  'sampler_logprobs',
  'entropies',
  'temperature',
  'finish_reason',
  'seed',
  'policy_step',
] as const

/** Columns that `generate` fills only when asked to, or only under top-k, top-p or min-p. */
export interface RolloutSchemaOptions {
  samplerLogprobs?: boolean
  entropies?: boolean
}

/** The field of a column that coppice knows. */
export function knownField(name: KnownColumn): Field {
  const { type, nullable } = KNOWN_COLUMNS[name]
  return new Field(name, type, nullable)
}

export function isKnownColumn(name: string): name is KnownColumn {
  return Object.hasOwn(KNOWN_COLUMNS, name)
}

/** prompt_id, prompt, reference, prompt_tokens. */
export function promptSchema(): Schema {
  return new Schema(PROMPT_COLUMNS.map(knownField))
}

/** The prompt's columns, then those that sampling adds. */
export function rolloutSchema(options: RolloutSchemaOptions = {}): Schema {
  const names = ROLLOUT_COLUMNS.filter(
    (name) =>
      (name !== 'sampler_logprobs' || options.samplerLogprobs === true) &&
      (name !== 'entropies' || options.entropies === true),
  )
  return new Schema([...PROMPT_COLUMNS, ...names].map(knownField))
}
