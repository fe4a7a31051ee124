import type { ObjectiveSpec } from '../../src/objective-options.ts'
import type { Policy } from '../../src/policy.ts'
import { columnsOf, type ListView, type RolloutBatch } from '../../src/rollouts.ts'
import { type SlowRow, type SlowSpec, slowGradient } from '../objectives/slow-reference.ts'

/** Settings under which AdamW is nearly plain descent: differences of the last bits of a gradient stay what they are. */
export const PLAIN_DESCENT = {
  adamEpsilon: 1,
  adamBeta1: 0,
  adamBeta2: 0,
  weightDecay: 0,
  maxGradNorm: 0,
} as const

/** So small that hardly a token of a run, which nobody chose, lies within reach of a clip's edge. */
const DIFFERENCE = 1e-6

/** The loss -sum A norm log-prob: an optimiser step on gradients that were found elsewhere. */
const LINEAR = {
  importance: 'none',
  clip: false,
  clipLow: 0,
  clipHigh: 0,
  dualClip: 0,
  klKind: 'k3',
  klCoef: 0,
  entropyCoef: 0,
} as const

/**
 * The updates of one step of `train` as the slow reference has them: all rows one optimiser batch, gone through
 * `numIterations` times, each gradient found by differences in float64 at the log-probs of the moment.
 */
export async function slowStep(
  policy: Policy,
  rollouts: RolloutBatch,
  spec: ObjectiveSpec,
  { learningRate, numIterations }: { learningRate: number; numIterations: number },
): Promise<void> {
  for (let iteration = 0; iteration < numIterations; iteration++) {
    const rows = await slowRows(policy, rollouts)
    const gradients = slowGradient(rows, spec as SlowSpec, 'lp', DIFFERENCE).flat()
    if (gradients.every((gradient) => gradient === 0)) continue
    await policy.applyUpdate(rollouts, {
      advantages: Float32Array.from(gradients, (gradient) => -gradient),
      norm: new Float32Array(gradients.length).fill(1),
      oldLogprobs: null,
      lossParams: LINEAR,
      optimizer: { learningRate, ...PLAIN_DESCENT },
    })
  }
}

async function slowRows(policy: Policy, rollouts: RolloutBatch): Promise<SlowRow[]> {
  const columns = columnsOf(rollouts)
  const { offsets } = columns.completionTokens
  const { logprobs, entropies } = await policy.score(rollouts)
  const listed = (view: ListView<Float32Array | Uint8Array>, row: number) =>
    Array.from(view.values.subarray(view.offsets[row], view.offsets[row + 1]))
  return Array.from({ length: columns.rows }, (_, row) => {
    const scored = (values: Float32Array) =>
      Array.from(values.subarray(offsets[row]! - offsets[0]!, offsets[row + 1]! - offsets[0]!))
    return {
      lp: scored(logprobs),
      old: listed(columns.logprobs, row),
      sampler: listed(columns.samplerLogprobs ?? columns.logprobs, row),
      ref: columns.refLogprobs ? listed(columns.refLogprobs, row) : scored(logprobs),
      entropy: scored(entropies),
      mask: listed(columns.completionMask, row),
      reward: columns.rewards![row]!,
      verdict: columns.verdicts?.[row] ?? null,
      group: columns.groupIds[row]!,
      finish: columns.finishReasons[row] === 'stop' ? 'stop' : 'length',
      baseline: columns.baselineRewards?.[row] ?? null,
      values: columns.values ? listed(columns.values, row) : scored(logprobs).map(() => 0),
    } satisfies SlowRow
  })
}
