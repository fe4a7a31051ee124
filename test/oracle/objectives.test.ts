import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectiveSpec } from '../../src/objective-options.ts'
import { assignAdvantages, OBJECTIVE_KINDS, resolveObjective } from '../../src/objectives.ts'
import { type PolicyLossBatch, policyLoss } from '../../src/policy-loss.ts'
import type { Verdict } from '../../src/verdicts.ts'
import { fixturePath, maxDifference, readJson } from './fixtures.ts'

// Every objective against its formula in float64 (objectives_reference.py): rows kept, advantages, and through the op that
// training runs, loss and gradient.

interface Fixture {
  name: string
  group_ids: number[]
  rewards: (number | null)[]
  verdicts: Verdict[]
  finish_reasons: ('stop' | 'length')[]
  baseline_rewards: (number | null)[]
  mask: number[][]
  logprobs: number[][]
  old_logprobs: number[][]
  sampler_logprobs: number[][]
  cases: {
    spec: ObjectiveSpec
    kept_rows: number[]
    advantages: number[]
    loss: number
    gradients: number[][]
  }[]
}

const BATCHES = readJson<Fixture[]>(fixturePath('objectives.json'))

function batchOf(fixture: Fixture) {
  return {
    groupIds: fixture.group_ids,
    rewards: fixture.rewards,
    verdicts: fixture.verdicts,
    finishReasons: fixture.finish_reasons,
    baselineRewards: fixture.baseline_rewards,
    mask: fixture.mask,
    logprobs: fixture.logprobs,
    oldLogprobs: fixture.old_logprobs,
    samplerLogprobs: fixture.sampler_logprobs,
  } satisfies PolicyLossBatch
}

function completionsOf({ mask }: Fixture) {
  const offsets = [0]
  for (const row of mask) offsets.push(offsets.at(-1)! + row.length)
  return { offsets, mask: mask.flat() }
}

test('the fixtures have every objective', () => {
  for (const { cases } of BATCHES) {
    const kinds = new Set(cases.map(({ spec }) => spec.kind))
    // ppo's advantages are a critic's, token by token: test/critic and the slow reference hold them.
    const ofRows = OBJECTIVE_KINDS.filter((kind) => kind !== 'ppo')
    assert.deepEqual([...kinds].sort(), ofRows.sort())
  }
})

for (const fixture of BATCHES) {
  for (const { spec, kept_rows, advantages, loss, gradients } of fixture.cases) {
    test(`${fixture.name}: ${JSON.stringify(spec)}`, () => {
      const batch = batchOf(fixture)
      const objective = resolveObjective(spec)
      const assigned = assignAdvantages({ ...batch, completions: completionsOf(fixture) }, objective)
      assert.deepEqual([...assigned.keptRows], kept_rows)
      assert.ok(maxDifference(assigned.rowAdvantages, advantages) < 1e-12, `${assigned.rowAdvantages}`)
      const result = policyLoss(batch, spec)
      assert.ok(Math.abs(result.loss - loss) < 1e-12, `loss ${result.loss}, not ${loss}`)
      const ours = result.tokenGradients.flatMap((row) => [...row])
      const worst = maxDifference(ours, gradients.flat())
      assert.ok(worst < 1e-12, `a gradient differs by ${worst}`)
    })
  }
}
