import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  type BatchSettings,
  Critic,
  OBJECTIVE_KINDS,
  type ObjectiveSpec,
  objectiveOfRun,
  Policy,
  type Sample,
} from '../../src/index.ts'
import { columnsOf, type RolloutColumns } from '../../src/rollouts.ts'
import { tokenCount } from '../../src/trainer/step-metrics.ts'
import { makeFolder, runToEnd, TINY, taskPrompts } from './tiny-run.ts'

describe('the objective of a run', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  before(async () => {
    folder = await makeFolder()
  })
  after(() => folder.remove())

  it('divides by the completions of an optimiser batch times their longest length where nothing is given', () => {
    const constant = (settings: BatchSettings, spec: object = {}) =>
      objectiveOfRun({ kind: 'dr-grpo', ...spec }, settings).constant
    const settings = { promptsPerStep: 4, numGenerations: 6, maxCompletionLength: 5 }
    assert.equal(constant(settings), 24 * 5)
    assert.equal(constant({ ...settings, miniBatchRows: 8 }), 8 * 5)
    assert.equal(constant({ ...settings, miniBatchRows: 100 }), 24 * 5)
    assert.equal(constant({}), 32 * 8 * 256, 'the defaults of train')
    assert.equal(constant({ ...settings, maxCompletionLength: undefined }), 24 * 256)
    assert.equal(constant(settings, { constant: 7 }), 7)
    assert.equal(constant(settings, { aggregation: 'token-mean' }), null)
    const grpo = objectiveOfRun({ kind: 'grpo', scaleRewards: 'none', aggregation: 'constant' }, settings)
    assert.equal(grpo.constant, 24 * 5)
  })

  it('is refused where one completion of a prompt has nothing to be compared with', () => {
    const alone = (spec: ObjectiveSpec) => objectiveOfRun(spec, { numGenerations: 1 })
    const comparing = [
      'grpo',
      'dr-grpo',
      'dapo',
      'gspo',
      'rloo',
      'reinforce++-baseline',
      'opo',
      'gpg',
      'maxrl',
      ...['gspo-token', 'cispo', 'gmpo', 'sapo', 'clip-cov', 'kl-cov'],
    ]
    for (const kind of OBJECTIVE_KINDS) {
      const spec = { kind } as ObjectiveSpec
      if (comparing.includes(kind)) {
        assert.throws(() => alone(spec), {
          code: 'INVALID_ARGUMENT',
          message: /numGenerations: 1 cannot be: .*others/,
        })
      } else assert.equal(alone(spec).kind, kind)
    }
    assert.equal(alone({ kind: 'reinforce', baseline: 'batch' }).kind, 'reinforce')
    assert.throws(() => alone({ kind: 'reinforce', baseline: 'group' }), /'reinforce' measures a completion/)
    assert.throws(() => alone({ kind: 'nsr', filterGroups: 'constant' }), /filterGroups: .*every completion/)
  })

  it('measures completions by the greedy one of their prompt under remax', async () => {
    const total = (tokens: Int32Array) => tokens.reduce((sum, token) => sum + token, 0)
    const reward = ({ promptTokens, completionTokens }: Pick<Sample, 'promptTokens' | 'completionTokens'>) =>
      (total(promptTokens) + total(completionTokens)) % 3
    const [step] = await runToEnd(folder.model, join(folder.path, 'greedy'), {
      ...{ objective: { kind: 'remax' }, steps: 1, numGenerations: 2, verifier: reward },
    })
    await using policy = await Policy.load({ model: folder.model, threads: 1 })
    const prompts = taskPrompts('train', 8)
    const { groupIds, baselineRewards, rows } = columnsOf(step!.rollouts)
    for (let row = 0; row < rows; row++) {
      const prompt = prompts[groupIds[row]!]!
      const { maxCompletionLength } = TINY
      const greedy = await policy.generateAll([prompt], {
        temperature: 0,
        numGenerations: 1,
        maxCompletionLength,
      })
      const { completionTokens } = columnsOf(greedy)
      assert.equal(baselineRewards![row], reward({ ...prompt, completionTokens: completionTokens.values }))
    }
    assert.equal(new Set(baselineRewards).size > 1, true)
    assert.ok(step!.metrics.num_tokens! > tokenCount(columnsOf(step!.rollouts)))
  })

  for (const kind of OBJECTIVE_KINDS) {
    it(`${kind}: takes steps, and its record says with what`, async () => {
      const out = join(folder.path, kind)
      await using critic = kind === 'ppo' ? await Critic.load({ model: folder.model, threads: 1 }) : null
      const steps = await runToEnd(folder.model, out, {
        ...(critic && { critic }),
        objective: { kind } as ObjectiveSpec,
        steps: 3,
        verifier: ({ completion, reference }) => Number(completion.slice(0, 3) === reference.slice(0, 3)),
      })
      assert.ok(steps.some(({ metrics }) => metrics.updates! > 0 && metrics.grad_norm! > 0))
      const { settings } = JSON.parse(await readFile(join(out, 'run.json'), 'utf8'))
      assert.equal(settings.objective.kind, kind)
      assert.equal(settings.objective.constant, kind === 'dr-grpo' ? 8 * TINY.maxCompletionLength : null)
      for (const { metrics, rollouts } of steps) {
        const { advantages, rows } = columnsOf(rollouts)
        const valid = advantages!.valid ?? new Uint8Array(rows).fill(1)
        const kept = valid.reduce((sum, flag) => sum + flag, 0)
        assert.equal(kept, metrics.kept_rows)
        if (kind === 'opo') assertWeighedByLength(columnsOf(rollouts))
        if (kind !== 'dapo') assert.ok(!('filtered_groups' in metrics))
        else {
          assert.equal(metrics.filtered_groups, metrics.frac_reward_zero_std! * TINY.promptsPerStep)
          assert.equal(metrics.filtered_rows, metrics.filtered_groups! * TINY.numGenerations)
          assert.equal(metrics.kept_rows, TINY.promptsPerStep * TINY.numGenerations - metrics.filtered_rows!)
        }
      }
    })
  }
})

/** Over the tokens of a group, opo's advantages sum to 0. */
function assertWeighedByLength({ advantages, groupIds, rows }: RolloutColumns): void {
  const { values, offsets } = advantages!
  const sums = new Map<number, number>()
  for (let row = 0; row < rows; row++) {
    let sum = sums.get(groupIds[row]!) ?? 0
    for (let t = offsets[row]!; t < offsets[row + 1]!; t++) sum += values[t]!
    sums.set(groupIds[row]!, sum)
  }
  for (const sum of sums.values()) assert.ok(Math.abs(sum) < 1e-5, `${sum}`)
}
