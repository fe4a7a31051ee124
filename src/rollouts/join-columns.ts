import type { ListValues, ListView, RolloutColumns } from './columns.ts'

/** Columns of several batches one behind the other, as copies; a column that one of them lacks is not in the result. */
export function joinColumns(parts: readonly RolloutColumns[]): RolloutColumns {
  const [first] = parts
  if (first === undefined) throw new RangeError('no columns to join')
  if (parts.length === 1) return first
  const lists = <A extends ListValues>(pick: (part: RolloutColumns) => ListView<A>) =>
    joinLists(parts.map(pick))
  const optionalLists = <K extends 'samplerLogprobs' | 'entropies' | 'refLogprobs' | 'advantages'>(name: K) =>
    parts.every((part) => part[name] !== undefined) && { [name]: joinLists(parts.map((part) => part[name]!)) }
  const optionalRows = <K extends 'rewards' | 'verdicts' | 'baselineRewards'>(name: K) =>
    parts.every((part) => part[name] !== undefined) && { [name]: parts.flatMap((part) => [...part[name]!]) }
  return {
    rows: parts.reduce((sum, { rows }) => sum + rows, 0),
    promptTokens: lists(({ promptTokens }) => promptTokens),
    completionTokens: lists(({ completionTokens }) => completionTokens),
    completionMask: lists(({ completionMask }) => completionMask),
    logprobs: lists(({ logprobs }) => logprobs),
    groupIds: Int32Array.from(parts.flatMap(({ groupIds }) => [...groupIds])),
    sampleIndex: Int32Array.from(parts.flatMap(({ sampleIndex }) => [...sampleIndex])),
    policyStep: Int32Array.from(parts.flatMap(({ policyStep }) => [...policyStep])),
    temperature: Float32Array.from(parts.flatMap(({ temperature }) => [...temperature])),
    finishReasons: parts.flatMap(({ finishReasons }) => finishReasons),
    ...optionalLists('samplerLogprobs'),
    ...optionalLists('entropies'),
    ...optionalLists('refLogprobs'),
    ...optionalLists('advantages'),
    ...optionalRows('rewards'),
    ...optionalRows('verdicts'),
    ...optionalRows('baselineRewards'),
  }
}

/** Offsets of the result begin at 0; its rows are null where they were. */
function joinLists<A extends ListValues>(lists: readonly ListView<A>[]): ListView<A> {
  const sizes = lists.map(({ offsets }) => offsets.at(-1)! - offsets[0]!)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const values = new (lists[0]!.values.constructor as new (length: number) => A)(total)
  const offsets = new Int32Array(lists.reduce((sum, list) => sum + list.offsets.length - 1, 1))
  let [row, at] = [0, 0]
  for (const [i, list] of lists.entries()) {
    const begin = list.offsets[0]!
    values.set(list.values.subarray(begin, begin + sizes[i]!) as never, at)
    for (let each = 1; each < list.offsets.length; each++) offsets[++row] = at + list.offsets[each]! - begin
    at += sizes[i]!
  }
  if (lists.every(({ valid }) => valid === undefined)) return { values, offsets }
  const valid = lists.flatMap((list) => [...(list.valid ?? new Uint8Array(list.offsets.length - 1).fill(1))])
  return { values, offsets, valid: Uint8Array.from(valid) }
}
