import assert from 'node:assert/strict'
import { test } from 'node:test'
import { modelConfigOf, readJsonObject, tensorShapesOf } from '../../src/checkpoint.ts'
import { Policy } from '../../src/policy.ts'
import { type RolloutBatch, readTable, takeRows } from '../../src/rollouts.ts'
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
} from './fixtures.ts'

// The engine against PyTorch in float64 (reference.py). The bounds are what is promised; float32 reaches a tenth of it.
const LOGPROB_BOUND = 3e-5
const GRADIENT_BOUND = 1e-4
const ORDER_BOUND = 1e-6
// Gradients of biases and norms are small differences of large sums: PyTorch in float32 is off by 3e-6 of some of them. Where
// only the order of sums differs, a tensor's difference is judged by at least this share of the whole gradient's norm.
const ORDER_FLOOR = 0.1

const isas = [undefined, 'avx2', 'portable'] as const

interface Case {
  batch: RolloutBatch
  weights: Float32Array
  expected: ExpectedScores
}

async function caseOf(name: string): Promise<Case> {
  const path = fixturePath(name, 'rollouts.jsonl')
  return {
    batch: await readTable(path),
    weights: tokenWeightsOf(readRows(path)),
    expected: readJson(fixturePath(name, 'expected.json')),
  }
}

async function withPolicy<T>(
  name: string,
  options: { isa?: string; threads?: number },
  body: (policy: Policy) => Promise<T>,
): Promise<T> {
  const policy = await Policy.load({ model: fixturePath(name), device: 'cpu', ...options })
  try {
    return await body(policy)
  } finally {
    await policy.dispose()
  }
}

/** All gradients of the policy by Hugging Face name. */
async function gradientsOf(policy: Policy, names: Iterable<string>): Promise<Map<string, Float32Array>> {
  const gradients = new Map<string, Float32Array>()
  for (const name of names) gradients.set(name, await policy.gradient(name))
  return gradients
}

function worstGradient(
  gradients: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, Float32Array>,
  floor?: number,
): { name: string; difference: number } {
  const differences = [...expected].map(([name, values]) => ({
    name,
    difference: relativeDifference(gradients.get(name) ?? [], values, floor),
  }))
  return differences.reduce((worst, next) => (next.difference <= worst.difference ? worst : next))
}

function norm(tensors: ReadonlyMap<string, Float32Array>): number {
  return Math.hypot(
    ...[...tensors.values()].map((values) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0))),
  )
}

/** Positions of the completion tokens of the rows, in the rows' order. */
function tokensOfRows(batch: RolloutBatch, rows: readonly number[]): number[] {
  const lengths = [...batch.getChild('completion_tokens')!].map((tokens) => tokens.length as number)
  const begins = lengths.map((_, row) => lengths.slice(0, row).reduce((sum, length) => sum + length, 0))
  return rows.flatMap((row) => Array.from({ length: lengths[row]! }, (_, i) => begins[row]! + i))
}

for (const name of GRADIENT_FIXTURES) {
  const names = tensorShapesOf(modelConfigOf(readJsonObject(fixturePath(name, 'config.json')), name)).map(
    (tensor) => tensor.name,
  )

  for (const isa of isas) {
    test(`${name}, ${isa ?? 'best'} instruction set: score and gradients agree with float64`, async (t) => {
      const { batch, weights, expected } = await caseOf(name)
      const reference = readFloats(fixturePath(name, 'gradients.safetensors'))
      assert.deepEqual([...reference.keys()].sort(), [...names].sort(), 'every tensor has a reference')
      const open = withPolicy(name, isa === undefined ? {} : { isa }, async (policy) => {
        const { logprobs, entropies } = await policy.score(batch)
        const logprob = maxDifference(logprobs, expected.logprobs)
        const entropy = maxDifference(entropies, expected.entropies)
        const { loss } = await policy.grad(batch, weights)
        const worst = worstGradient(await gradientsOf(policy, names), reference)
        t.diagnostic(
          `${policy.info.isa}: log-prob ${logprob.toExponential(1)}, entropy ${entropy.toExponential(1)}, ` +
            `gradient ${worst.difference.toExponential(1)} (${worst.name})`,
        )
        assert.ok(logprob <= LOGPROB_BOUND, `log-probs differ by ${logprob}`)
        assert.ok(entropy <= LOGPROB_BOUND, `entropies differ by ${entropy}`)
        assert.ok(
          Math.abs(loss - expected.loss) <= 1e-5 * Math.abs(expected.loss),
          `loss ${loss}, not ${expected.loss}`,
        )
        assert.ok(
          worst.difference <= GRADIENT_BOUND,
          `gradient of ${worst.name} differs by ${worst.difference}`,
        )
      })
      await open.catch((error) => {
        if (isa === undefined || error.code !== 'DEVICE_UNAVAILABLE') throw error
        t.skip(error.message)
      })
    })
  }

  test(`${name}: the cut into micro-batches and the sharing of prompts change no log-prob and no gradient`, async (t) => {
    const { batch, weights } = await caseOf(name)
    await withPolicy(name, { threads: 1 }, async (policy) => {
      const whole = await policy.score(batch)
      const { loss } = await policy.grad(batch, weights)
      const gradients = await gradientsOf(policy, names)
      const floor = ORDER_FLOOR * norm(gradients)

      const compare = async (what: string, rows: readonly number[], tokenBudget: number) => {
        const tokens = tokensOfRows(batch, rows)
        const taken = takeRows(batch, rows)
        const scored = await policy.score(taken, { tokenBudget })
        // Bits, not numbers: a row's forward pass depends on that row alone.
        assert.deepEqual(
          scored.logprobs,
          Float32Array.from(tokens, (i) => whole.logprobs[i]!),
          what,
        )
        assert.deepEqual(
          scored.entropies,
          Float32Array.from(tokens, (i) => whole.entropies[i]!),
          what,
        )
        const cut = await policy.grad(
          taken,
          Float32Array.from(tokens, (i) => weights[i]!),
          { tokenBudget },
        )
        assert.ok(
          Math.abs(cut.loss - loss) <= 1e-9 * Math.abs(loss),
          `${what}: loss ${cut.loss}, not ${loss}`,
        )
        const worst = worstGradient(await gradientsOf(policy, names), gradients, floor)
        t.diagnostic(`${what}: ${worst.difference.toExponential(1)} (${worst.name})`)
        assert.ok(
          worst.difference <= ORDER_BOUND,
          `${what}: gradient of ${worst.name} differs by ${worst.difference}`,
        )
      }

      const rows = Array.from({ length: batch.numRows }, (_, row) => row)
      // A budget of one token: each row alone, its prompt shared with nobody. The others cut through groups.
      for (const budget of [1, 100, 200, 300]) await compare(`budget ${budget}`, rows, budget)
      // Neighbours of different groups share nothing either, but stand in one micro-batch.
      const apart = [...rows.filter((row) => row % 2 === 0), ...rows.filter((row) => row % 2 === 1)].reverse()
      await compare('rows in another order', apart, 8192)
      await policy.grad(batch, weights)
      assert.deepEqual(await gradientsOf(policy, names), gradients, 'the same call gives the same bits')
    })
  })

  test(`${name}: the number of threads changes no bit`, async () => {
    const { batch, weights } = await caseOf(name)
    const run = (threads: number) =>
      withPolicy(name, { threads }, async (policy) => {
        const scored = await policy.score(batch)
        await policy.grad(batch, weights)
        return { scored, gradients: await gradientsOf(policy, names) }
      })
    const one = await run(1)
    for (const threads of [2, 3]) assert.deepEqual(await run(threads), one, `${threads} threads`)
  })
}
