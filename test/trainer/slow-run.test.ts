import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type ObjectiveSpec, Policy, type TrainOptions, train } from '../../src/index.ts'
import { PLAIN_DESCENT, slowStep } from './slow-step.ts'
import { makeFolder, TINY, taskPrompts } from './tiny-run.ts'

const SETTINGS = { learningRate: 0.5, numIterations: 3 }

/** What a run of these objectives must pass through, so that what is special to each is in the comparison. */
const CASES: { spec: ObjectiveSpec; sampling?: Partial<TrainOptions>; seen?: string }[] = [
  { spec: { kind: 'grpo', epsilon: 0.05, delta: 1.5 }, seen: 'clip_ratio/region_mean' },
  { spec: { kind: 'cispo', epsilon: 0.05, epsilonHigh: 0.05 }, seen: 'clip_ratio/region_mean' },
  { spec: { kind: 'gmpo', epsilon: 0.02 }, seen: 'clip_ratio/region_mean' },
  { spec: { kind: 'grpo', epsilon: 0.05 }, sampling: { asyncSteps: 1, steps: 3 }, seen: 'staleness/max' },
  { spec: { kind: 'sapo', sapoTemperatureNeg: 2 } },
  { spec: { kind: 'topr', positiveWeight: 0.5 }, seen: 'clip_ratio/region_mean' },
  { spec: { kind: 'gspo-token', epsilon: 0.02, epsilonHigh: 0.02 }, seen: 'clip_ratio/region_mean' },
  { spec: { kind: 'nsr', importanceSamplingLevel: 'sequence-token' } },
  { spec: { kind: 'clip-cov', covRatio: 1, covLow: 0.01 }, seen: 'cov_token_ratio' },
  {
    // One step: in the next the two policies' last bits would decide the sign of a difference that is 0.
    spec: { kind: 'kl-cov', covRatio: 0.3, oldKlCoefficient: 0.5 },
    sampling: { steps: 1 },
    seen: 'cov_token_ratio',
  },
  {
    spec: { kind: 'w-reinforce', importanceCorrection: 'token-mask', importanceCorrectionMin: 0.83 },
    sampling: { topP: 0.8 },
    seen: 'importance_weight/masked',
  },
  {
    spec: { kind: 'reinforce', importanceCorrection: 'sequence-truncate', importanceCorrectionMin: 0.6 },
    sampling: { topP: 0.8 },
    seen: 'importance_weight/truncated',
  },
  { spec: { kind: 'rloo', beta: 0.2, klKind: 'k1', klIn: 'reward' }, seen: 'kl' },
  { spec: { kind: 'grpo', beta: 0.2, klKind: 'k3', klIn: 'reward', scaleRewards: 'batch' }, seen: 'kl' },
  { spec: { kind: 'reinforce++', beta: 0.2, gamma: 0.9 }, seen: 'kl' },
  { spec: { kind: 'remax', importanceSamplingLevel: 'token' }, seen: 'baseline_reward' },
  { spec: { kind: 'reinforce++-baseline', beta: 0.2, klKind: 'k2', klIn: 'reward' }, seen: 'kl' },
]

describe('a run beside the slow reference', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  before(async () => {
    folder = await makeFolder()
  })
  after(() => folder.remove())

  for (const [i, { spec, sampling, seen }] of CASES.entries()) {
    it(`moves the parameters as ${JSON.stringify(spec)} says`, async () => {
      await using policy = await Policy.load({ model: folder.model, threads: 1 })
      await using slow = await Policy.load({ model: folder.model, threads: 1 })
      await using reference = await Policy.init({ config: slow.rawConfig, seed: 4, threads: 1 })
      const name = 'model.layers.1.mlp.down_proj.weight'
      const start = await slow.parameter(name)
      const run = train({
        ...{ ...TINY, ...SETTINGS, ...PLAIN_DESCENT, miniBatchRows: null, steps: 2 },
        ...{ policy, reference, prompts: taskPrompts('train', 8), out: join(folder.path, `slow-${i}`) },
        verifier: ({ completionTokens }) => completionTokens.reduce((sum, token) => sum + token, 0) % 2,
        objective: spec,
        ...sampling,
      })
      const figures = { logRatio: 0, seen: 0 }
      for await (const { rollouts, metrics } of run) {
        await slowStep(slow, rollouts, spec, SETTINGS)
        const [moved, expected] = [await policy.parameter(name), await slow.parameter(name)]
        const change = expected.reduce((most, value, k) => Math.max(most, Math.abs(value - start[k]!)), 0)
        const gap = expected.reduce((most, value, k) => Math.max(most, Math.abs(value - moved[k]!)), 0)
        assert.ok(change > 1e-4 && gap < 2e-4 * change, `${gap} of ${change}`)
        figures.logRatio = Math.max(figures.logRatio, metrics.max_abs_log_ratio ?? 0)
        figures.seen = Math.max(figures.seen, Math.abs(metrics[seen ?? 'kept_rows']!))
      }
      assert.ok(figures.logRatio > 0.05, `the policy hardly moved: ${figures.logRatio}`)
      assert.ok(figures.seen > 0, `nothing of ${seen}`)
    })
  }
})
