import type { NativeEngine } from '../native/types.ts'
import { callCancellable } from '../native.ts'
import { refuseUnknownKeys } from '../options.ts'
import { tokenBudgetOf } from './memory-request.ts'
import { nativeRows, type Rows, tokenColumns } from './native-rows.ts'
import type { ValuesOptions } from './options.ts'

/** What an engine's value head says of completion tokens; see `Policy.values`. */
export async function valuesOf(
  engine: NativeEngine,
  rows: Rows,
  options: ValuesOptions,
): Promise<Float32Array> {
  refuseUnknownKeys(options, ['tokenBudget', 'signal'], 'values')
  const native = nativeRows(tokenColumns(rows), undefined, 'values')
  const tokenBudget = tokenBudgetOf(options.tokenBudget, 'values')
  const { values } = await callCancellable(options.signal, (stop) => engine.values(native, tokenBudget, stop))
  return values
}
