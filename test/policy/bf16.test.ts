import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { Policy } from '../../src/policy.ts'
import { appendColumns, columnsOf, readTable } from '../../src/rollouts.ts'
import { bits } from '../float-bits.ts'
import { promptsOfLength, tinyPolicy } from '../native-addon/tiny-policy.ts'
import {
  type ExpectedScores,
  fixturePath,
  GRADIENT_FIXTURES,
  maxDifference,
  readFloats,
  readJson,
  readRows,
  relativeDifference,
  tokenWeightsOf,
} from '../oracle/fixtures.ts'

const folder = mkdtempSync(join(tmpdir(), 'coppice-bf16-'))
after(() => rmSync(folder, { recursive: true }))

const TENSORS = [
  'model.embed_tokens.weight',
  'model.layers.0.self_attn.q_proj.weight',
  'model.layers.1.mlp.down_proj.weight',
  'model.norm.weight',
]

/** What is left of a number in bf16: its upper half, to nearest even. */
function rounded(values: Float32Array): Float32Array {
  const words = new Uint32Array(values.slice().buffer)
  return new Float32Array(
    words.map((word) => ((word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000) >>> 0).buffer,
  )
}

async function parameters(policy: Policy): Promise<string[]> {
  return Promise.all(TENSORS.map(async (name) => bits(await policy.parameter(name))))
}

async function step(policy: Policy) {
  const batch = await policy.generateAll(promptsOfLength(5, 9), {
    numGenerations: 4,
    maxCompletionLength: 12,
  })
  const right = Array.from({ length: batch.numRows }, (_, row) => row % 3 === 0)
  const judged = appendColumns(batch, {
    verdict: right.map((yes) => (yes ? 'right' : 'wrong')),
    reward: right.map(Number),
  })
  return policy.update(judged, { objective: { kind: 'w-reinforce' }, learningRate: 1e-3 })
}

describe('a policy in bf16', () => {
  it('holds bf16 numbers, in half the memory', async () => {
    await using exact = await tinyPolicy()
    await using policy = await tinyPolicy({ dtype: 'bf16' })
    assert.equal(policy.dtype, 'bf16')
    for (const name of TENSORS) {
      assert.equal(bits(await policy.parameter(name)), bits(rounded(await exact.parameter(name))), name)
    }
    const parametersOf = async (p: Policy) =>
      (await p.plan({ longestPrompt: 10 })).find(({ what }) => what === 'parameters')!.bytes
    assert.ok((await parametersOf(policy)) < 0.55 * (await parametersOf(exact)))
  })

  it('records log-probs that score gives back bit for bit', async () => {
    await using policy = await tinyPolicy({ dtype: 'bf16' })
    for (const sampling of [{ temperature: 1 }, { temperature: 0.6, topP: 0.9 }, { temperature: 0 }]) {
      const batch = await policy.generateAll(promptsOfLength(1, 63, 64, 65), {
        numGenerations: 3,
        maxCompletionLength: 20,
        ...sampling,
      })
      assert.equal(bits((await policy.score(batch)).logprobs), bits(columnsOf(batch).logprobs.values))
    }
  })

  it('keeps fp32 masters: small steps add up that bf16 alone would lose', async () => {
    await using policy = await tinyPolicy({ dtype: 'bf16' })
    const before = await policy.parameter('model.norm.weight')
    const rows = await policy.generateAll(promptsOfLength(5), { numGenerations: 4, maxCompletionLength: 12 })
    for (let i = 0; i < 4; i++) await policy.supervisedStep(rows, { learningRate: 1e-5, weightDecay: 0 })
    const after = await policy.parameter('model.norm.weight')
    assert.notEqual(bits(after), bits(before))
    // Norms begin at 1, where bf16 numbers are 1/128 apart: what is computed with has not moved.
    assert.deepEqual(rounded(after), before)
  })

  it('goes on after a stop as if there had been none', async () => {
    await using policy = await tinyPolicy({ dtype: 'bf16' })
    await step(policy)
    const path = join(folder, 'state')
    await policy.saveTrainingState(path)
    const expected = await step(policy)
    await using resumed = await Policy.load({ model: path, dtype: 'bf16', seed: 1, threads: 1 })
    await resumed.loadTrainingState(path)
    assert.deepEqual(await step(resumed), expected)
    assert.deepEqual(await parameters(resumed), await parameters(policy))
  })

  it('is what its bf16 checkpoint holds', async () => {
    await using policy = await tinyPolicy({ dtype: 'bf16' })
    await step(policy)
    const path = join(folder, 'shipped')
    await policy.save(path, { dtype: 'bf16' })
    await using loaded = await Policy.load({ model: path, dtype: 'bf16' })
    const batch = await policy.generateAll(promptsOfLength(5, 70), {
      numGenerations: 2,
      maxCompletionLength: 9,
    })
    assert.equal(bits((await loaded.score(batch)).logprobs), bits((await policy.score(batch)).logprobs))
  })

  for (const name of GRADIENT_FIXTURES) {
    it(`${name}: near PyTorch in float64, on every instruction set in the same place`, async (t) => {
      const path = fixturePath(name, 'rollouts.jsonl')
      const batch = await readTable(path)
      const expected = readJson<ExpectedScores>(fixturePath(name, 'expected.json'))
      const reference = readFloats(fixturePath(name, 'gradients.safetensors'))
      let first: { logprobs: Float32Array; isa: string } | undefined
      for (const isa of ['avx512', 'avx2', 'neon']) {
        const open = Policy.load({ model: fixturePath(name), dtype: 'bf16', isa }).catch((error) => {
          if (error.code !== 'DEVICE_UNAVAILABLE') throw error
          return undefined
        })
        const policy = await open
        if (policy === undefined) continue
        try {
          const { logprobs } = await policy.score(batch)
          if (first !== undefined)
            assert.equal(bits(logprobs), bits(first.logprobs), `${isa} and ${first.isa}`)
          first ??= { logprobs, isa }
          await policy.grad(batch, tokenWeightsOf(readRows(path)))
          let worst = 0
          for (const [tensor, values] of reference) {
            worst = Math.max(worst, relativeDifference(await policy.gradient(tensor), values))
          }
          const difference = maxDifference(logprobs, expected.logprobs)
          t.diagnostic(`${isa}: log-prob ${difference.toExponential(1)}, gradient ${worst.toExponential(1)}`)
          // The parameters themselves are rounded here, too: 8 bits of precision through a few layers.
          assert.ok(difference > 1e-4 && difference < 0.2, `log-probs differ by ${difference}`)
          assert.ok(worst > 1e-4 && worst < 0.1, `gradients differ by ${worst}`)
        } finally {
          await policy.dispose()
        }
      }
      assert.ok(first !== undefined, 'no instruction set to test')
    })
  }
})
