import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tensorShapesOf } from '../../src/checkpoint.ts'
import type { ObjectiveKind, ObjectiveSpec } from '../../src/objective-options.ts'
import { OBJECTIVE_KINDS } from '../../src/objectives.ts'
import type { Policy } from '../../src/policy.ts'
import { appendColumns, columnsOf } from '../../src/rollouts.ts'
import { judged, promptsOfLength, tinyPolicy } from '../native-addon/tiny-policy.ts'

// Denominators, statistics and choices are those of the optimiser batch: how it is cut changes the order of sums and no more.

const AGGREGATIONS = [
  'token-mean',
  'sequence-mean-token-mean',
  'sequence-mean-token-sum',
  'constant',
] as const

/** What keeps an objective's gradient from vanishing on a later update, or from depending on chance. */
const SETTINGS: Partial<Record<ObjectiveKind, object>> = {
  gspo: { epsilon: 0.1 },
  'gspo-token': { epsilon: 0.1 },
  'clip-cov': { covRatio: 1, covLow: 0 },
  'kl-cov': { covRatio: 0.2 },
}

/** Rollouts that the policy has moved away from since, with log-probs of a reference and of another sampler, and greedy rewards, beside them. */
async function laterBatch(policy: Policy) {
  const sampled = judged(
    await policy.generateAll(promptsOfLength(4, 20, 65), { numGenerations: 4, maxCompletionLength: 12 }),
  )
  const { values, offsets } = columnsOf(sampled).logprobs
  const shifted = (by: number) => ({ values: values.map((value, t) => value + by * Math.sin(t)), offsets })
  await policy.update(sampled, { objective: { kind: 'nsr' }, learningRate: 3e-3 })
  return appendColumns(sampled, {
    ...{ ref_logprobs: shifted(0.3), sampler_logprobs: shifted(0.5), values: shifted(0.4) },
    baseline_reward: Array.from({ length: sampled.numRows }, (_, row) => (row % 3) / 4),
  })
}

async function gradientsOf(policy: Policy, batch: Awaited<ReturnType<typeof laterBatch>>, spec: object) {
  const gradients: Float32Array[][] = []
  for (const tokenBudget of [8192, 90, 1]) {
    const options = { learningRate: 0, weightDecay: 0, tokenBudget, objective: spec as ObjectiveSpec }
    const { skipped } = await policy.update(batch, options)
    assert.equal(skipped, undefined)
    const tensors: Float32Array[] = []
    for (const { name } of tensorShapesOf(policy.config)) tensors.push(await policy.gradient(name))
    gradients.push(tensors)
  }
  return gradients
}

const norm = (values: Float32Array) => Math.hypot(...values)

for (const kind of OBJECTIVE_KINDS) {
  test(`${kind}: gradients are the same however the batch is cut, under every aggregation`, async () => {
    await using policy = await tinyPolicy()
    const batch = await laterBatch(policy)
    for (const aggregation of AGGREGATIONS) {
      const spec = {
        ...{ kind, aggregation, beta: 0.05, ...SETTINGS[kind] },
        ...(aggregation === 'constant' && { constant: 100 }),
        // A correction and an aggregation that has no weights to it, in turns.
        ...(aggregation === 'sequence-mean-token-sum' && { importanceCorrection: 'sequence-truncate' }),
        ...(aggregation === 'constant' && { entropyCoefficient: 0.01 }),
      }
      const [whole, ...cut] = await gradientsOf(policy, batch, spec)
      for (const tensors of cut) {
        const everything = (of: Float32Array[]) => Math.hypot(...of.map(norm))
        const differences = tensors.map((gradient, i) => gradient.map((x, j) => x - whole![i]![j]!))
        assert.ok(everything(differences) <= 1e-6 * everything(whole!), JSON.stringify(spec))
        for (const [i, gradient] of tensors.entries()) {
          const reference = whole![i]!
          const difference = norm(gradient.map((x, j) => x - reference[j]!))
          const where = `${JSON.stringify(spec)}, ${tensorShapesOf(policy.config)[i]!.name}: ${difference} of ${norm(reference)}`
          assert.ok(norm(reference) > 0, where)
          // Advantages that cancel leave the smallest tensors of fp32 sums little above their rounding.
          assert.ok(difference <= 2e-6 * norm(reference), where)
        }
      }
    }
  })
}
