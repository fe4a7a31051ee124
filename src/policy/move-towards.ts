import { CoppiceError, invalidArgument } from '../errors.ts'
import type { NativeEngine } from '../native/types.ts'
import { call } from '../native.ts'
import { requireNumber } from '../options.ts'

/** Moves the parameters of `engine` towards those of another of the same model; see `Policy.moveTowards`. */
export async function moveTowards(engine: NativeEngine, other: NativeEngine, share: number): Promise<void> {
  requireNumber(share, 'moveTowards.share', 0, 1)
  if (engine === other) throw invalidArgument('moveTowards.policy', 'another policy', 'the same one')
  requireSameModel(engine, other)
  const { version } = other
  for (const { name } of engine.tensors) {
    const values = await call(() => other.readTensor(name))
    if (share !== 1) {
      const own = await call(() => engine.readTensor(name))
      for (let i = 0; i < own.length; i++) values[i] = own[i]! + share * (values[i]! - own[i]!)
    }
    await call(() => engine.writeTensor(name, values))
  }
  if (other.version !== version) {
    throw new CoppiceError('BUSY', 'the parameters changed while they were read', { where: 'moveTowards' })
  }
}

function requireSameModel(engine: NativeEngine, other: NativeEngine): void {
  const text = ({ tensors }: NativeEngine) =>
    tensors.map(({ name, shape }) => `${name} [${shape.join(', ')}]`)
  const [own, others] = [text(engine), text(other)]
  const i = own.findIndex((tensor, at) => tensor !== others[at])
  if (i === -1 && own.length === others.length) return
  throw new CoppiceError('SHAPE_MISMATCH', 'policies of different models', {
    where: 'moveTowards',
    expected: own[i] ?? 'no further tensor',
    received: others[i === -1 ? own.length : i] ?? 'no such tensor',
  })
}
