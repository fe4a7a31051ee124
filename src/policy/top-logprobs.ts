import type { NativeEngine } from '../native/types.ts'
import { callCancellable } from '../native.ts'
import { refuseUnknownKeys, requireInteger } from '../options.ts'
import { tokenBudgetOf } from './memory-request.ts'
import { completionTokenCount, nativeRows, type Rows, tokenColumns } from './native-rows.ts'
import type { TopLogprobs, TopLogprobsOptions } from './options.ts'

const KEYS = [
  'top',
  'ids',
  'places',
  'temperature',
  'tokenBudget',
  'signal',
] as const satisfies readonly (keyof TopLogprobsOptions)[]

/** See `Policy.topLogprobs`. */
export async function topLogprobs(
  engine: NativeEngine,
  vocabSize: number,
  rows: Rows,
  options: TopLogprobsOptions,
): Promise<TopLogprobs> {
  refuseUnknownKeys(options, KEYS, 'topLogprobs')
  const columns = tokenColumns(rows)
  const native = nativeRows(columns, options.temperature, 'topLogprobs')
  const top = requireInteger(options.top ?? 5, 'topLogprobs.top', 0, vocabSize)
  const all = () => Int32Array.from({ length: completionTokenCount(columns) }, (_, place) => place)
  const places = options.places ?? all()
  const tokenBudget = tokenBudgetOf(options.tokenBudget, 'topLogprobs')
  const { cancelled: _, ...found } = await callCancellable(options.signal, (stop) =>
    engine.topLogprobs(native, places, top, options.ids, tokenBudget, stop),
  )
  return found
}
