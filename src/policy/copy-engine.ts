import type { Heads, ModelConfig } from '../checkpoint.ts'
import { CoppiceError } from '../errors.ts'
import type { ComputeDtype, NativeEngine } from '../native/types.ts'
import { addon, call } from '../native.ts'
import { memoryRequest } from './memory-request.ts'

/** An engine of its own in the state of another, tensor by tensor; see `Policy.clone`. */
export async function copyEngine(
  from: NativeEngine,
  config: Readonly<ModelConfig>,
  dtype: ComputeDtype,
  heads: Heads,
): Promise<NativeEngine> {
  const { version, hasOptimizerState } = from
  const step = from.optimizerStep
  const copy = await call(() => addon().openEngine(config, { ...from.info, dtype, heads }))
  try {
    if (hasOptimizerState) {
      // Makes the masters, so that what is written is not rounded to the compute type alone.
      const smallest = { longestPrompt: 1, longestRow: 1, tokenBudget: 1, generation: false }
      await call(() => copy.reserve(memoryRequest(smallest, config, 'clone')))
    }
    for (const { name } of from.tensors) {
      const values = await call(() => from.readTensor(name))
      await call(() => copy.writeTensor(name, values))
      if (!hasOptimizerState) continue
      const moments = await call(() => from.readMoments(name))
      await call(() => copy.writeMoments(name, moments, step))
    }
    if (from.version !== version) {
      throw new CoppiceError('BUSY', 'the parameters changed while they were copied', { where: 'clone' })
    }
    return copy
  } catch (error) {
    await copy.dispose()
    throw error
  }
}
