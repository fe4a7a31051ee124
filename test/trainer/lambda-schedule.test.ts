import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type ObjectiveSpec, objectiveOfRun, policyLoss } from '../../src/index.ts'
import { columnsOf } from '../../src/rollouts.ts'
import { LambdaSchedule } from '../../src/trainer/lambda-schedule.ts'
import { assertNear } from '../objectives/assert-near.ts'
import { checkpointDigest, makeFolder, runToEnd, timelessMetrics } from './tiny-run.ts'

const weighted = (options: object) => ({ kind: 'w-reinforce', ...options }) as ObjectiveSpec
const ADAPTIVE = weighted({ lambda: 0.2, lambdaSchedule: 'adaptive', targetEntropy: 1.5, lambdaRate: 0.3 })

describe('lambda over the steps of a run', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  before(async () => {
    folder = await makeFolder()
  })
  after(() => folder.remove())

  it('goes from the first value to the last along a line or half a cosine', () => {
    const over = (lambdaSchedule: string, steps: number) => {
      const objective = objectiveOfRun(weighted({ lambda: 0.1, lambdaFinal: 0.9, lambdaSchedule }), {})
      const schedule = new LambdaSchedule(objective, steps)
      return Array.from({ length: steps }, (_, i) => schedule.at(i + 1).metrics.lambda!)
    }
    assertNear(over('linear', 5), [0.1, 0.3, 0.5, 0.7, 0.9])
    const corner = 0.4 * Math.SQRT1_2
    assertNear(over('cosine', 5), [0.1, 0.5 - corner, 0.5, 0.5 + corner, 0.9])
    assertNear(over('linear', 1), [0.1])
  })

  it('moves with the entropy beyond the target, within its bounds', () => {
    const objective = objectiveOfRun(weighted({ ...ADAPTIVE, lambdaMax: 0.4 }), {})
    const schedule = new LambdaSchedule(objective, 9)
    const seen = [2, 1.5, 9, -9, 1.6].map((entropy, i) => {
      schedule.observe(entropy)
      return schedule.at(i + 2).metrics.lambda!
    })
    assertNear(seen, [0.35, 0.35, 0.4, 0, 0.03])
  })

  it('is what the right completions of a step weigh, and the controller follows the metrics', async () => {
    const out = join(folder.path, 'adaptive')
    const steps = await runToEnd(folder.model, out, { objective: ADAPTIVE, steps: 5 })
    let lambda = 0.2
    for (const { metrics, rollouts } of steps) {
      assert.equal(metrics.lambda, lambda)
      const { advantages, verdicts, rows } = columnsOf(rollouts)
      for (let row = 0; row < rows; row++) {
        const expected = verdicts![row] === 'right' ? Math.fround(lambda) : -1
        assert.equal(advantages!.values[advantages!.offsets[row]!], expected)
      }
      lambda = Math.min(Math.max(lambda + 0.3 * (metrics.entropy! - 1.5), 0), 1)
    }
    assert.notEqual(lambda, 0.2)
  })

  it('goes on where a checkpoint left it, to the same bytes', async () => {
    const [whole, halves] = [join(folder.path, 'whole'), join(folder.path, 'halves')]
    await runToEnd(folder.model, whole, { objective: ADAPTIVE, steps: 6 })
    await runToEnd(folder.model, halves, { objective: ADAPTIVE, steps: 3 })
    await runToEnd(folder.model, halves, { objective: ADAPTIVE, steps: 6, resume: true })
    assert.deepEqual(await timelessMetrics(halves), await timelessMetrics(whole))
    assert.deepEqual(await checkpointDigest(halves, 6), await checkpointDigest(whole, 6))
    const linear = { objective: weighted({ lambdaSchedule: 'linear', lambdaFinal: 1 }), steps: 2 }
    await runToEnd(folder.model, join(folder.path, 'linear'), linear)
    const longer = runToEnd(folder.model, join(folder.path, 'linear'), { ...linear, steps: 4, resume: true })
    await assert.rejects(longer, /a resumed run cannot change 'steps'/)
  })

  it('is refused where something is missing, contradicts, or there are no steps', () => {
    const refused = (options: object, message: RegExp) =>
      assert.throws(() => objectiveOfRun(weighted(options), {}), { code: 'INVALID_ARGUMENT', message })
    refused({ lambdaSchedule: 'linear' }, /lambdaFinal: null cannot be: schedule 'linear' goes from lambda/)
    refused({ lambdaFinal: 1 }, /lambdaFinal: 1 cannot be: schedule 'constant'/)
    refused({ lambdaSchedule: 'adaptive' }, /targetEntropy: null cannot be/)
    refused({ targetEntropy: 1 }, /targetEntropy: 1 cannot be: schedule 'constant' holds no entropy/)
    refused({ lambdaRate: 1 }, /lambdaRate: 1 cannot be/)
    refused({ ...ADAPTIVE, lambdaMin: 0.5 }, /lambda: 0.2 cannot be: it must begin between/)
    const batch = { logprobs: [[-1]], rewards: [1] }
    assert.throws(() => policyLoss(batch, ADAPTIVE), /lambdaSchedule: "adaptive" cannot be: .*no|none/)
  })
})
