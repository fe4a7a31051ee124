import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Policy, readTable, type Sample, type TrainOptions, train, writeTable } from '../../src/index.ts'
import { appendColumns, columnsOf, dropColumns, type RolloutBatch } from '../../src/rollouts.ts'
import { coppice } from '../cli/command-line.ts'
import { checkpointDigest, makeFolder, runToEnd, TINY, taskPrompts, timelessMetrics } from './tiny-run.ts'

const NAME = 'model.layers.1.mlp.down_proj.weight'
const reward = ({ completionTokens }: Pick<Sample, 'completionTokens'>) =>
  completionTokens.reduce((sum, token) => sum + token, 0) % 2
const OBJECTIVE = { kind: 'grpo', epsilon: 0.2 } as const

describe('learning from rollouts that were made before', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  /** Of two steps' worth of prompts, judged, by the model that training begins with. */
  let rollouts: RolloutBatch
  before(async () => {
    folder = await makeFolder()
    const [step] = await runToEnd(folder.model, join(folder.path, 'made'), {
      ...{ objective: OBJECTIVE, steps: 1, promptsPerStep: 8, miniBatchRows: null, verifier: reward },
    })
    rollouts = step!.rollouts
  })
  after(() => folder.remove())

  const run = async (name: string, given: Partial<TrainOptions> = {}) => {
    await using policy = await Policy.load({ model: folder.model, threads: 1 })
    const steps = []
    const { numGenerations: _, maxCompletionLength: __, ...settings } = TINY
    const running = train({
      ...{ ...settings, miniBatchRows: null, policy, rollouts, verifier: reward, objective: OBJECTIVE },
      ...{ out: join(folder.path, name), steps: 2 },
      ...given,
    })
    for await (const step of running) steps.push(step)
    return { steps, parameter: await policy.parameter(NAME), out: join(folder.path, name) }
  }

  it('makes of rollouts of the same policy the update that sampling them would have made', async () => {
    const { parameter, steps } = await run('same', { steps: 1, promptsPerStep: 8 })
    await using sampled = await Policy.load({
      model: join(folder.path, 'made', 'checkpoints', '1'),
      threads: 1,
    })
    const expected = await sampled.parameter(NAME)
    await using base = await Policy.load({ model: folder.model, threads: 1 })
    const start = await base.parameter(NAME)
    assert.ok(expected.some((value, i) => Math.abs(value - start[i]!) > 1e-3))
    // The prompts come in another order, and sums of fp32 with them.
    assert.ok(expected.every((value, i) => Math.abs(value - parameter[i]!) < 2e-5))
    assert.equal(steps[0]!.metrics['sampling/sampling_logp_difference/max'], 0)
    assert.deepEqual([steps[0]!.metrics.recorded_logprobs, steps[0]!.metrics['staleness/max']], [1, 0])
  })

  it('takes every prompt once an epoch, and says how stale its completions are', async () => {
    const { steps } = await run('stale', { steps: 3 })
    const groups = steps.map((step) => [...new Set(columnsOf(step.rollouts).groupIds)])
    assert.equal(new Set(groups.slice(0, 2).flat()).size, 8)
    assert.deepEqual(
      steps.map(({ metrics }) => metrics['staleness/mean']),
      [0, 1, 2],
    )
    assert.ok(steps[1]!.metrics['sampling/sampling_logp_difference/max']! > 0)
  })

  it('weighs by the ratio to the log-probs of another engine', async () => {
    const { logprobs } = columnsOf(rollouts)
    const shifted = { values: logprobs.values.map((value) => value - 1), offsets: logprobs.offsets }
    const others = appendColumns(dropColumns(rollouts, ['logprobs']), { logprobs: shifted })
    const { steps } = await run('shifted', { rollouts: others, steps: 1 })
    assert.ok(Math.abs(steps[0]!.metrics.ratio_mean! - Math.E) < 1e-4, `${steps[0]!.metrics.ratio_mean}`)
    assert.ok(steps[0]!.metrics['clip_ratio/high_mean']! > 0)
  })

  it('scores rows without log-probs first, judges those without rewards, and fills in what others do not write', async () => {
    const names = rollouts.schema.fields.map(({ name }) => name)
    const few = ['prompt_tokens', 'completion_tokens']
    const bare = dropColumns(
      rollouts,
      names.filter((name) => !few.includes(name)),
    )
    const path = join(folder.path, 'bare.jsonl')
    await writeTable(path, [bare])
    const plain = await run('bare', { rollouts: await readTable(path) })
    for (const { metrics } of plain.steps) {
      assert.deepEqual([metrics.recorded_logprobs, metrics['sampling/sampling_logp_difference/max']], [0, 0])
    }
    const { completionTokens, rewards } = columnsOf(plain.steps[0]!.rollouts)
    const { values, offsets } = completionTokens
    rewards!.forEach((given, row) => {
      assert.equal(given, reward({ completionTokens: values.subarray(offsets[row], offsets[row + 1]) }))
    })
    const record = JSON.parse(await readFile(join(plain.out, 'run.json'), 'utf8')).settings.rollouts
    assert.deepEqual([record.count, record.groups], [48, 8])
    assert.match(record.logprobs, /scored/)
  })

  it('makes advantages and reference log-probs anew, whatever stands in the file', async () => {
    await using reference = await Policy.load({ model: folder.model, threads: 1 })
    const objective = { ...OBJECTIVE, beta: 0.1 }
    const { steps } = await run('first', { objective, reference, steps: 1 })
    const again = await run('again', { objective, reference, steps: 1, rollouts: steps[0]!.rollouts })
    assert.equal(again.steps[0]!.metrics.kl, 0)
    assert.equal(columnsOf(again.steps[0]!.rollouts).groupIds.length, 24)
  })

  it('goes on after a stop to the same bytes, and refuses other rollouts', async () => {
    const [whole, halves] = [await run('whole', { steps: 4 }), await run('halves', { steps: 2 })]
    await run('halves', { steps: 4, resume: true })
    assert.deepEqual(await timelessMetrics(halves.out), await timelessMetrics(whole.out))
    assert.deepEqual(await checkpointDigest(halves.out, 4), await checkpointDigest(whole.out, 4))
    const other = run('halves', {
      steps: 5,
      resume: true,
      rollouts: dropColumns(rollouts, ['reward', 'verdict']),
    })
    await assert.rejects(other, /a resumed run cannot change 'rollouts\.digest'/)
  })

  it('reads them from files of either format on the command line', async () => {
    const runOf = async (format: string) => {
      const file = join(folder.path, `rollouts.${format}`)
      await writeTable(file, [rollouts])
      const out = join(folder.path, `cli-${format}`)
      const flags = ['--objective', 'grpo', '--steps', '1', '--prompts-per-step', '8', '--threads', '1']
      const common = ['--model', folder.model, '--verifier', 'walk', '--out', out, ...flags]
      const { code, stderr } = await coppice(['train', ...common, '--rollouts', file])
      assert.equal(code, 0, stderr)
      return { out, common }
    }
    const [arrow, jsonl] = [await runOf('arrow'), await runOf('jsonl')]
    assert.deepEqual(await checkpointDigest(arrow.out, 1), await checkpointDigest(jsonl.out, 1))
    const { code, stderr } = await coppice(['train', ...arrow.common])
    assert.equal(code, 2)
    assert.match(stderr, /either --prompts or --rollouts/)
  })

  it('is refused with prompts, and for what rollouts cannot have', async () => {
    const refused = (given: Partial<TrainOptions>, message: RegExp) =>
      assert.rejects(run('no', given), { code: 'INVALID_ARGUMENT', message })
    await refused({ prompts: taskPrompts('train', 8) }, /either prompts or rollouts/)
    await refused({ asyncSteps: 1 }, /asyncSteps.*rollouts are given/)
    await refused({ objective: { kind: 'dapo' }, refillRounds: 1 }, /refillRounds.*rollouts are given/)
    await refused({ objective: { kind: 'remax' } }, /baseline_reward/)
    await refused({ objective: { kind: 'nsr', importanceCorrection: 'token-mask' } }, /sampler_logprobs/)
    await refused({ promptsPerStep: 9 }, /promptsPerStep.*at most 8/)
    const adaptive = { kind: 'w-reinforce', lambdaSchedule: 'adaptive', targetEntropy: 1 } as const
    await refused({ objective: adaptive }, /lambdaSchedule/)
  })
})
