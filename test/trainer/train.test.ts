import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { columnsOf, Policy, readTable, type Verifier } from '../../src/index.ts'
import { checkpointDigest, makeFolder, runToEnd, TINY, taskPrompts, timelessMetrics } from './tiny-run.ts'

describe('train', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  before(async () => {
    folder = await makeFolder()
  })
  after(() => folder.remove())
  const out = (name: string) => join(folder.path, name)

  it('writes the same bytes with 1 and with 4 threads after 20 steps', async () => {
    const [one, four] = [
      await runToEnd(folder.model, out('one'), { steps: 20, threads: 1 }),
      await runToEnd(folder.model, out('four'), { steps: 20, threads: 4 }),
    ]
    assert.deepEqual(await timelessMetrics(out('one')), await timelessMetrics(out('four')))
    assert.deepEqual(await checkpointDigest(out('one'), 20), await checkpointDigest(out('four'), 20))
    one.forEach((step, i) => {
      const [a, b] = [columnsOf(step.rollouts), columnsOf(four[i]!.rollouts)]
      assert.deepEqual(a.completionTokens.values, b.completionTokens.values)
      assert.deepEqual(a.logprobs.values, b.logprobs.values)
    })
  })

  it('writes the same bytes with the options that save memory, and takes none after its start', async () => {
    const options = { steps: 3, evalEvery: 2, evalPrompts: taskPrompts('heldout', 6) }
    await runToEnd(folder.model, out('kept'), options)
    await using policy = await Policy.load({ model: folder.model, threads: 1 })
    const held: number[] = []
    let planned = 0
    await runToEnd(folder.model, out('again'), {
      ...options,
      policy,
      activationCheckpointing: 'layer',
      maxLiveSequences: 5,
      onPlan: (rows) => {
        const ofEngine = rows.filter(({ what }) => !/^(Node.js|rollouts|packing)/.test(what))
        planned = ofEngine.reduce((sum, { bytes }) => sum + bytes, 0)
      },
      onProgress: () => held.push(policy.allocatedBytes),
    })
    assert.deepEqual(await timelessMetrics(out('again')), await timelessMetrics(out('kept')))
    assert.deepEqual(await checkpointDigest(out('again'), 3), await checkpointDigest(out('kept'), 3))
    assert.ok(held.length > 3)
    for (const bytes of held) assert.equal(bytes, planned)
  })

  it('refuses a run that the machine has no memory for, before anything is taken', async () => {
    await assert.rejects(runToEnd(folder.model, out('huge'), { numGenerations: 2 ** 30 }), {
      code: 'OUT_OF_MEMORY',
      message: /does not fit.*rollouts \d+ MiB/,
    })
  })

  it('is on policy to the last bit at the first update of every step', async () => {
    const steps = await runToEnd(folder.model, out('exact'), { temperature: 0.7, topP: 0.9 })
    for (const { metrics } of steps) assert.equal(metrics['sampling/sampling_logp_difference/max'], 0)
    // Later updates of a step have moved away, or the figure above would say nothing.
    assert.ok(steps.some(({ metrics }) => metrics.max_abs_log_ratio! > 0))
  })

  it('learns: the reward of right answers grows', async () => {
    const steps = await runToEnd(folder.model, out('learns'), {
      verifier: ({ completion }) => (completion.startsWith('1') ? 'right' : 'wrong'),
      objective: { kind: 'grpo' },
      steps: 40,
    })
    const mean = (part: typeof steps) =>
      part.reduce((sum, { metrics }) => sum + metrics.reward!, 0) / part.length
    assert.ok(mean(steps.slice(0, 5)) < 0.5)
    assert.ok(mean(steps.slice(-5)) > 0.9)
  })

  it('learns from the weighted reward of several verifiers and holds a resumed run to its weights', async () => {
    const short: Verifier = ({ completion }) => (completion.length < 6 ? 1 : 0)
    const verifier = { verifiers: ['walk', short], rewardWeights: [1, 0.5] }
    const options = { verifier, steps: 2, objective: { kind: 'grpo' } } as const
    const steps = await runToEnd(folder.model, out('weighted'), options)
    for (const { rollouts, metrics } of steps) {
      const { rewards, verdicts } = columnsOf(rollouts)
      const [walk, form] = ['reward_walk', 'reward_short'].map((name) => [...rollouts.getChild(name)!])
      const sums = walk!.map((reward, row) => reward + 0.5 * form![row])
      assert.deepEqual(rewards, sums)
      const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
      assert.equal(metrics['rewards/walk/mean'], mean(walk!))
      assert.equal(metrics['rewards/short/mean'], mean(form!))
      assert.equal(metrics.accuracy, mean(verdicts!.map((verdict) => (verdict === 'right' ? 1 : 0))))
      assert.ok(metrics.accuracy < 1 && metrics.reward! > metrics.accuracy)
    }
    const again = { ...options, verifier: { ...verifier, rewardWeights: [1, 0.25] }, resume: true }
    await assert.rejects(runToEnd(folder.model, out('weighted'), again), {
      code: 'INVALID_ARGUMENT',
      message: /verifier\.reward_weights.*\[1,0\.5\].*\[1,0\.25\]/,
    })
  })

  it('gives the metrics that people plot, one line a step', async () => {
    await runToEnd(folder.model, out('metrics'), { evalEvery: 4, evalPrompts: taskPrompts('heldout', 3) })
    const lines = await timelessMetrics(out('metrics'))
    assert.deepEqual(
      lines.map(({ step }) => step),
      [1, 2, 3, 4, 5, 6, 7, 8],
    )
    for (const name of [
      ...[
        'reward',
        'reward_std',
        'frac_reward_zero_std',
        'accuracy',
        'frac_all_right',
        'entropy',
        'grad_norm',
        'loss',
      ],
      ...[
        'clip_ratio/low_mean',
        'clip_ratio/high_mean',
        'completions/mean_length',
        'learning_rate',
        'num_tokens',
      ],
      ...['kept_rows', 'updates', 'unparsed_rate', 'timed_out_rate', 'clock_verdicts', 'lost_in_bf16'],
    ]) {
      for (const line of lines) assert.equal(typeof line[name], 'number', `${name} in step ${line.step}`)
    }
    assert.deepEqual(
      lines.filter((line) => 'greedy_accuracy' in line).map(({ step }) => step),
      [4, 8],
    )
  })

  it("says what part of a step's time was the engine's, and after a checkpoint what that took", async () => {
    const steps = await runToEnd(folder.model, out('seconds'), { steps: 4, saveEvery: 2 })
    for (const { step, metrics } of steps) {
      for (const phase of ['generate', 'update']) {
        const engine = metrics[`seconds/${phase}_engine`]!
        assert.ok(engine > 0, `${phase} of step ${step}`)
        // Both are rounded to the tenth of a millisecond.
        assert.ok(engine <= metrics[`seconds/${phase}`]! + 1e-4, `${phase} of step ${step}`)
      }
      assert.equal('seconds/save' in metrics, step === 3)
    }
  })

  it('marks a run in which the clock gave a verdict, and no other, as one that cannot be regenerated', async () => {
    const record = async (name: string) => JSON.parse(await readFile(join(out(name), 'run.json'), 'utf8'))
    let seen = 0
    const slow = (until: number) => ({
      verifier: () => (++seen === until ? new Promise<never>(() => {}) : ('right' as const)),
      verify: { timeoutMs: 50 },
      objective: { kind: 'reinforce' } as const,
      steps: 3,
    })
    const first = await runToEnd(folder.model, out('slow'), slow(1))
    assert.deepEqual(
      first.map(({ metrics }) => metrics.clock_verdicts),
      [1, 0, 0],
    )
    const { regenerable, not_regenerable_because } = await record('slow')
    assert.equal(regenerable, false)
    assert.match(not_regenerable_because, /1 verdict.*step 1/)
    // Resuming keeps the mark, which follows from the metrics of the steps that stay.
    await runToEnd(folder.model, out('slow'), { ...slow(0), steps: 4, resume: true })
    assert.equal((await record('slow')).regenerable, false)
    await runToEnd(folder.model, out('said'), { verifier: () => 'timed-out' as const, steps: 2 })
    assert.equal((await record('said')).regenerable, true)
  })

  it('makes no step where the objective has nothing to learn from, and the schedule advances', async () => {
    const before = await readFile(join(folder.model, 'model.safetensors'))
    const steps = await runToEnd(folder.model, out('empty'), {
      verifier: () => 'wrong' as const,
      objective: { kind: 'psr' },
      learningRateSchedule: 'linear',
      steps: 3,
    })
    for (const { metrics } of steps) {
      assert.equal(metrics.updates, 0)
      assert.equal(metrics.kept_rows, 0)
      assert.equal(metrics.empty_class, 1)
    }
    assert.ok(steps[2]!.metrics.learning_rate! < steps[0]!.metrics.learning_rate!)
    assert.deepEqual(await readFile(join(steps[2]!.checkpoint!, 'model.safetensors')), before)
  })

  it('measures the KL term against the reference policy', async () => {
    await using reference = await Policy.load({ model: folder.model, threads: 1 })
    const steps = await runToEnd(folder.model, out('kl'), {
      objective: { kind: 'grpo', beta: 0.1 },
      reference,
      steps: 4,
    })
    assert.ok(steps[3]!.metrics.kl! > steps[0]!.metrics.kl!)
    await assert.rejects(
      runToEnd(folder.model, out('kl2'), { objective: { kind: 'grpo', beta: 0.1 } }),
      /reference/,
    )
  })

  it('refuses a step with numbers that are not finite, names the rollouts and keeps them', async () => {
    // The first update leaves finite parameters so large that the second one's activations are not.
    const overflowing = runToEnd(folder.model, out('refused'), { learningRate: 1e38 })
    await assert.rejects(overflowing, {
      code: 'NON_FINITE',
      message: /step 1 was refused.*\d+ rollouts.*refused-1\.arrow/s,
    })
    const kept = columnsOf(await readTable(join(out('refused'), 'refused-1.arrow')))
    assert.ok(kept.rows > 0 && kept.rows <= TINY.miniBatchRows)
    assert.ok(kept.rewards !== undefined && kept.advantages !== undefined)
  })

  it('refuses options that make no sense, by name', async () => {
    const refused = (given: object, message: RegExp) =>
      assert.rejects(runToEnd(folder.model, out('never'), given), { code: 'INVALID_ARGUMENT', message })
    await refused({ promptsPerStep: 9 }, /promptsPerStep.*at most 8/)
    await refused({ numGeneration: 3 }, /did you mean 'numGenerations'/)
    await refused({ learningRate: -1 }, /learningRate/)
    await refused({ verifier: 'wlak' }, /walk/)
    await refused({ evalEvery: 2 }, /evalPrompts/)
    await assert.rejects(readdir(out('never')), { code: 'ENOENT' })
  })
})
