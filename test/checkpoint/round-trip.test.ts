import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readModelFolder, readSafetensorsHeader } from '../../src/checkpoint.ts'
import { Policy } from '../../src/policy.ts'
import { readTable } from '../../src/rollouts.ts'
import { fixturePath, GRADIENT_FIXTURES } from '../oracle/fixtures.ts'
import { withFolder } from './files.ts'

// Parameters and moments through the engine and files, bit for bit. What a tensor's body means is worked out here, apart
// from the engine, so that a body in the wrong place or of the wrong tensor shows.

async function withPolicy<T>(model: string, body: (policy: Policy) => Promise<T>): Promise<T> {
  const policy = await Policy.load({ model, device: 'cpu' })
  try {
    return await body(policy)
  } finally {
    await policy.dispose()
  }
}

/** Every tensor of a model folder as floats. */
function readParameters(folder: string): Map<string, Float32Array> {
  return new Map(
    readModelFolder(folder).tensors.map(({ name, path, offset, dtype }) => {
      const { bytes } = readSafetensorsHeader(path).tensors.get(name)!
      const body = Buffer.from(readFileSync(path).subarray(offset, offset + bytes))
      if (dtype === 'f32') return [name, new Float32Array(body.buffer, body.byteOffset, bytes / 4)]
      const halves = Array.from({ length: bytes / 2 }, (_, i) => body.readUInt16LE(2 * i))
      return [name, Float32Array.from(halves, dtype === 'bf16' ? widenBf16 : widenF16)]
    }),
  )
}

const bits = new DataView(new ArrayBuffer(4))

function widenBf16(half: number): number {
  bits.setUint32(0, half * 2 ** 16)
  return bits.getFloat32(0)
}

function widenF16(half: number): number {
  const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023]
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25))
}

/** Round to nearest, ties to even. */
function roundToBf16(value: number): number {
  bits.setFloat32(0, value)
  const whole = bits.getUint32(0)
  return widenBf16(((whole + 0x7fff + ((whole >>> 16) & 1)) >>> 16) & 0xffff)
}

async function parametersOf(policy: Policy, names: Iterable<string>): Promise<Map<string, Float32Array>> {
  const parameters = new Map<string, Float32Array>()
  for (const name of names) parameters.set(name, await policy.parameter(name))
  return parameters
}

async function step(policy: Policy): Promise<void> {
  const batch = await readTable(fixturePath('adamw', 'rollouts.jsonl'))
  await policy.supervisedStep(batch, { learningRate: 1e-3, weightDecay: 0.01 })
}

for (const name of GRADIENT_FIXTURES) {
  test(`${name}: parameters come out of the file and go into one unchanged`, () =>
    withFolder(async (folder) => {
      const stored = readParameters(fixturePath(name))
      await withPolicy(fixturePath(name), async (policy) => {
        assert.deepEqual(await parametersOf(policy, stored.keys()), stored, 'in memory')
        await policy.save(join(folder, 'f32'))
        await policy.save(join(folder, 'bf16'), { dtype: 'bf16', shardBytes: 20_000 })
      })
      assert.deepEqual(readParameters(join(folder, 'f32')), stored, 'saved as f32')
      const rounded = new Map([...stored].map(([tensor, values]) => [tensor, values.map(roundToBf16)]))
      assert.deepEqual(readParameters(join(folder, 'bf16')), rounded, 'saved as bf16')
    }))
}

test('after updates, memory and file hold the same, and a resumed policy makes the same next step', () =>
  withFolder(async (folder) => {
    const model = fixturePath('adamw')
    const names = [...readParameters(model).keys()]
    const [state, ahead] = [join(folder, 'state'), join(folder, 'ahead')]
    const before = await withPolicy(model, async (policy) => {
      for (let i = 0; i < 3; i++) await step(policy)
      await policy.saveTrainingState(state)
      const parameters = await parametersOf(policy, names)
      await step(policy)
      await policy.saveTrainingState(ahead)
      return parameters
    })
    assert.deepEqual(readParameters(state), before)
    assert.notDeepEqual(before, readParameters(model), 'the steps moved something')
    await withPolicy(model, async (policy) => {
      await policy.loadTrainingState(state)
      assert.equal(policy.policyStep, 3)
      assert.deepEqual(await parametersOf(policy, names), before)
      await step(policy)
      await policy.saveTrainingState(join(folder, 'again'))
    })
    for (const file of ['config.json', 'model.safetensors', 'optimizer.safetensors']) {
      assert.deepEqual(readFileSync(join(folder, 'again', file)), readFileSync(join(ahead, file)), file)
    }
  }))

test('a training state of another model, or a damaged one, is refused before anything is changed', () =>
  withFolder(async (folder) => {
    const state = join(folder, 'state')
    await withPolicy(fixturePath('adamw'), async (policy) => {
      await step(policy)
      await policy.saveTrainingState(state)
    })
    const refused = { code: 'CHECKPOINT_CORRUPT' }
    await withPolicy(fixturePath('qwen3-untied'), (policy) =>
      assert.rejects(policy.loadTrainingState(state), refused),
    )
    await withPolicy(fixturePath('adamw'), async (policy) => {
      const names = [...readParameters(state).keys()]
      const before = await parametersOf(policy, names)
      const path = join(state, 'optimizer.safetensors')
      writeFileSync(path, readFileSync(path).subarray(0, -4))
      await assert.rejects(policy.loadTrainingState(state), refused)
      assert.deepEqual(await parametersOf(policy, names), before)
    })
  }))

test('parameters that are not finite are refused by name', () =>
  withFolder(async (folder) => {
    const model = join(folder, 'model')
    await withPolicy(fixturePath('adamw'), (policy) => policy.save(model))
    const { path, offset } = readModelFolder(model).tensors.find(({ name }) => name === 'model.norm.weight')!
    const bytes = readFileSync(path)
    bytes.writeFloatLE(Number.NaN, offset + 8)
    writeFileSync(path, bytes)
    await assert.rejects(Policy.load({ model, device: 'cpu' }), { message: /model\.norm\.weight/ })
  }))
