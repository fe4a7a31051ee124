import type { NativeGroup } from '../native/types.ts'
import type { PromptRow } from '../prompts.ts'
import {
  type ColumnValues,
  FINISH_REASONS,
  type ListValues,
  type ListView,
  makeBatch,
  type RolloutBatch,
  type RolloutColumns,
} from '../rollouts.ts'
import type { Tokenizer } from '../tokenizer.ts'
import type { Sample } from '../verdicts.ts'
import type { SampledRollouts } from './options.ts'

/** All completions of one prompt. */
export interface FinishedGroup {
  native: NativeGroup
  prompt: PromptRow
  /** The completions' texts. */
  texts: readonly string[]
}

export function finishedGroup(
  native: NativeGroup,
  prompt: PromptRow,
  tokenizer: Tokenizer | undefined,
): FinishedGroup {
  const { rows, completionTokens, completionOffsets } = native
  const texts = Array.from({ length: rows }, (_, row) =>
    textOf(completionTokens.subarray(completionOffsets[row], completionOffsets[row + 1]), tokenizer),
  )
  return { native, prompt, texts }
}

/** The group's rows as a verifier sees them, over native memory. */
export function samplesOfGroup({ native, prompt, texts }: FinishedGroup): Sample[] {
  const { promptTokens, promptOffsets, completionTokens, completionOffsets, finishReasons } = native
  const { promptId, prompt: text, reference } = prompt
  return texts.map((completion, row) => ({
    promptId,
    prompt: text,
    reference,
    completion,
    promptTokens: promptTokens.subarray(promptOffsets[row], promptOffsets[row + 1]),
    completionTokens: completionTokens.subarray(completionOffsets[row], completionOffsets[row + 1]),
    finishReason: FINISH_REASONS[finishReasons[row]!]!,
  }))
}

/** One group as a batch: native memory under the numbers. */
export function groupBatch({ native, prompt, texts }: FinishedGroup): RolloutBatch {
  return rolloutBatch(native, new Array<PromptRow>(native.rows).fill(prompt), texts)
}

/** Groups, at least one, joined in their order; the numbers of several are copies. */
export function joinedRollouts(groups: readonly FinishedGroup[]): SampledRollouts {
  const joined = joinNatives(groups.map(({ native }) => native))
  const toBatch = () =>
    rolloutBatch(
      joined,
      groups.flatMap(({ native, prompt }) => new Array<PromptRow>(native.rows).fill(prompt)),
      groups.flatMap(({ texts }) => texts),
    )
  return { columns: rolloutColumns(joined), toBatch }
}

type Columns = Omit<NativeGroup, 'prompt'>

const listsAt =
  (offsets: Int32Array) =>
  <A extends ListValues>(values: A): ListView<A> => ({ values, offsets })

function rolloutColumns({
  promptTokens,
  promptOffsets,
  completionOffsets,
  ...columns
}: Columns): RolloutColumns {
  const perToken = listsAt(completionOffsets)
  const { rows, groupIds, sampleIndex, temperature, policyStep, samplerLogprobs, entropies } = columns
  return {
    ...{ rows, groupIds, sampleIndex, temperature, policyStep },
    promptTokens: { values: promptTokens, offsets: promptOffsets },
    completionTokens: perToken(columns.completionTokens),
    completionMask: perToken(columns.completionMask),
    logprobs: perToken(columns.logprobs),
    finishReasons: Array.from(columns.finishReasons, (reason) => FINISH_REASONS[reason]!),
    ...(samplerLogprobs && { samplerLogprobs: perToken(samplerLogprobs) }),
    ...(entropies && { entropies: perToken(entropies) }),
  }
}

function rolloutBatch(
  columns: Columns,
  prompts: readonly PromptRow[],
  texts: readonly string[],
): RolloutBatch {
  const { rows, completionOffsets } = columns
  const perToken = listsAt(completionOffsets)
  const values: Record<string, ColumnValues> = {
    prompt_id: prompts.map(({ promptId }) => promptId),
    prompt: prompts.map(({ prompt }) => prompt),
    reference: prompts.map(({ reference }) => reference),
    prompt_tokens: { values: columns.promptTokens, offsets: columns.promptOffsets },
    group_id: columns.groupIds,
    sample_index: columns.sampleIndex,
    completion_tokens: perToken(columns.completionTokens),
    completion: texts,
    completion_mask: perToken(columns.completionMask),
    logprobs: perToken(columns.logprobs),
    ...(columns.samplerLogprobs && { sampler_logprobs: perToken(columns.samplerLogprobs) }),
    ...(columns.entropies && { entropies: perToken(columns.entropies) }),
    temperature: columns.temperature,
    finish_reason: columns.finishReasons,
    seed: columns.seed,
    policy_step: columns.policyStep,
  }
  return makeBatch(rows, values)
}

function joinNatives(groups: readonly NativeGroup[]): Columns {
  const [first] = groups as readonly [NativeGroup]
  if (groups.length === 1) return first
  const joined = <K extends keyof Columns>(name: K) =>
    joinArrays(groups.map((group) => group[name] as JoinedArray)) as Columns[K]
  return {
    rows: groups.reduce((rows, group) => rows + group.rows, 0),
    promptTokens: joined('promptTokens'),
    promptOffsets: joinOffsets(groups.map(({ promptOffsets }) => promptOffsets)),
    completionTokens: joined('completionTokens'),
    completionOffsets: joinOffsets(groups.map(({ completionOffsets }) => completionOffsets)),
    completionMask: joined('completionMask'),
    logprobs: joined('logprobs'),
    ...(first.samplerLogprobs && { samplerLogprobs: joined('samplerLogprobs')! }),
    ...(first.entropies && { entropies: joined('entropies')! }),
    finishReasons: joined('finishReasons'),
    groupIds: joined('groupIds'),
    sampleIndex: joined('sampleIndex'),
    temperature: joined('temperature'),
    seed: joined('seed'),
    policyStep: joined('policyStep'),
  }
}

type JoinedArray = Int32Array | Float32Array | Uint8Array | Int8Array | BigUint64Array

function joinArrays<A extends JoinedArray>(arrays: readonly A[]): A {
  const length = arrays.reduce((sum, array) => sum + array.length, 0)
  const joined = new (arrays[0]!.constructor as new (length: number) => A)(length)
  let at = 0
  for (const array of arrays) {
    joined.set(array as never, at)
    at += array.length
  }
  return joined
}

/** Offsets of lists whose values lie one behind the other; each begins at 0. */
function joinOffsets(lists: readonly Int32Array[]): Int32Array {
  const joined = new Int32Array(lists.reduce((sum, list) => sum + list.length - 1, 1))
  let row = 0
  for (const list of lists) {
    const shift = joined[row]!
    for (let i = 1; i < list.length; i++) joined[++row] = shift + list[i]!
  }
  return joined
}

const WITHOUT_SPECIAL = { skipSpecialTokens: true }

/** The text of tokens without the special ones; an embedding may have rows that the tokenizer has no token for. */
function textOf(tokens: Int32Array, tokenizer: Tokenizer | undefined): string {
  if (tokenizer === undefined) return ''
  try {
    return tokenizer.decode(tokens, WITHOUT_SPECIAL)
  } catch {
    return decodeAround(tokens, tokenizer)
  }
}

/** Runs of known tokens decoded each as a whole, and a replacement character for every other token. */
function decodeAround(tokens: Int32Array, tokenizer: Tokenizer): string {
  let text = ''
  let begin = 0
  for (let i = 0; i <= tokens.length; i++) {
    if (i < tokens.length && tokenizer.hasToken(tokens[i]!)) continue
    text += tokenizer.decode(tokens.subarray(begin, i), WITHOUT_SPECIAL) + (i < tokens.length ? '\uFFFD' : '')
    begin = i + 1
  }
  return text
}
