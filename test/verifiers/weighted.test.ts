import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { DataType, Precision } from 'apache-arrow'
import { judge, partRewardMeans } from '../../src/judge.ts'
import { assignAdvantages, resolveObjective } from '../../src/objectives.ts'
import { makeBatch } from '../../src/rollouts.ts'
import type { Judgement, Verdict, Verifier } from '../../src/verdicts.ts'
import { partNames, type WeightedVerifiers } from '../../src/verifiers/weighted.ts'
import { createVerifierPool, verifyAll } from '../../src/verify.ts'
import { sampleOf } from './verdict-table.ts'

const dir = await mkdtemp(join(tmpdir(), 'coppice-weighted-'))
after(() => rm(dir, { recursive: true }))

const tidy: Verifier = ({ completion }) => (completion.endsWith('.') ? 1 : 0)
const completions = ['42.', '42', '41.', '41', '']
const judged = async (verifier: WeightedVerifiers, texts: readonly string[] = completions) =>
  verifyAll(
    texts.map((completion) => sampleOf('42', completion)),
    verifier,
    { concurrency: 2, timeoutMs: 200 },
  )
const summary = (judgements: readonly Judgement[]) =>
  judgements.map(({ verdict, reward, partRewards }) => [verdict, reward, partRewards])

describe('several verifiers', () => {
  it('add their rewards by weight, and the first decides the verdict', async () => {
    const verifier: WeightedVerifiers = { verifiers: ['numeric', tidy], rewardWeights: [1, 0.1] }
    assert.deepEqual(summary(await judged(verifier)), [
      ['right', 1.1, [1, 1]],
      ['right', 1, [1, 0]],
      ['wrong', 0.1, [0, 1]],
      ['wrong', 0, [0, 0]],
      ['unparsed', 0, [0, 0]],
    ])
    const others = { verifiers: [tidy, 'numeric'] }
    assert.deepEqual(summary(await judged(others)), [
      ['right', 2, [1, 1]],
      ['wrong', 1, [0, 1]],
      ['right', 1, [1, 0]],
      ['wrong', 0, [0, 0]],
      ['wrong', 0, [0, 0]],
    ])
  })

  it('call right what is above a threshold, where there is one', async () => {
    const verifier: WeightedVerifiers = {
      verifiers: ['numeric', tidy],
      rewardWeights: [1, -0.5],
      rewardThreshold: 0.5,
    }
    assert.deepEqual(summary(await judged(verifier)), [
      ['wrong', 0.5, [1, 1]],
      ['right', 1, [1, 0]],
      ['wrong', -0.5, [0, 1]],
      ['wrong', 0, [0, 0]],
      ['unparsed', 0, [0, 0]],
    ])
    const generous: WeightedVerifiers = { ...verifier, rewardWeights: [1, 1], rewardThreshold: -1 }
    assert.ok((await judged(generous)).every(({ verdict }) => verdict === 'right'))
  })

  it('lose nothing of reasons, abstentions, delays and failures', async () => {
    const moody: Verifier = ({ completion }) => {
      if (completion === 'throw') throw new Error('boom')
      if (completion === 'huge') return { verdict: 'right', reward: 3e38, reason: 'huge' }
      if (completion === 'late') return new Promise<Verdict>(() => {})
      return completion === 'pass' ? null : { verdict: 'wrong', reward: 0, reason: 'as ever' }
    }
    const texts = ['42', 'throw', 'huge', 'late', 'pass']
    const judgements = await judged({ verifiers: ['numeric', moody], rewardWeights: [1, 4] }, texts)
    assert.deepEqual(summary(judgements), [
      ['right', 1, [1, 0]],
      ['unparsed', null, undefined],
      ['unparsed', null, undefined],
      ['timed-out', 0, [0, null]],
      ['unparsed', 0, [0, null]],
    ])
    assert.deepEqual(
      judgements.map(({ reason }) => reason),
      [
        'moody: as ever',
        'moody: the verifier failed: boom',
        'the weighted reward 1.2e+39 is no finite float32',
        'numeric: no number found; moody: no answer after 200 ms',
        'numeric: no number found',
      ],
    )
    const first = await judged({ verifiers: [moody, 'numeric'], rewardThreshold: 0 }, ['pass', '42'])
    assert.deepEqual(summary(first), [
      ['unparsed', null, [null, 0]],
      ['right', 1, [0, 1]],
    ])
  })

  it('may run in processes, and one that cannot be loaded refuses all', async () => {
    const file = join(dir, 'short.mjs')
    await writeFile(file, `export default ({ completion }) => completion.length < 3 ? 1 : -1`)
    const verifier = { verifiers: ['exact', file, 'regex'], rewardWeights: [1, 0.5, 0] }
    assert.deepEqual(summary(await judged(verifier, ['42', '421'])), [
      ['right', 1.5, [1, 1, 1]],
      ['wrong', -0.5, [0, -1, 1]],
    ])
    await writeFile(join(dir, 'broken.mjs'), 'throw new Error("not today")')
    await assert.rejects(judged({ verifiers: [file, join(dir, 'broken.mjs')] }), {
      code: 'INVALID_ARGUMENT',
      message: /broken\.mjs.*not today/s,
    })
  })

  it('are refused where they make no sense', async () => {
    const bad: [unknown, RegExp][] = [
      [{ verifiers: [] }, /1 to 16 verifiers/],
      [{ verifiers: 'math' }, /1 to 16 verifiers/],
      [{ verifiers: ['math', 7] }, /functions, names or files/],
      [{ verifiers: ['math'], rewardWeights: [1, 2] }, /one number a verifier, so 1.*2 of them/],
      [{ verifiers: ['math'], rewardWeights: [Number.NaN] }, /rewardWeights/],
      [{ verifiers: ['math'], rewardThreshold: '1' }, /rewardThreshold/],
      [{ verifiers: ['math'], weights: [1] }, /unknown option 'weights'.*rewardWeights/],
      [{ verifiers: ['math', 'exakt'] }, /did you mean 'exact'/],
      [null, /several of these/],
      [7, /several of these/],
    ]
    for (const [verifier, message] of bad) {
      await assert.rejects(createVerifierPool(verifier as WeightedVerifiers), {
        code: 'INVALID_ARGUMENT',
        message,
      })
    }
  })
})

describe('the columns of several verifiers', () => {
  it('are named after them', () => {
    const anonymous: Verifier[] = [() => 1]
    assert.deepEqual(
      partNames([
        ...[
          'math',
          'math:extraction=boxed',
          'numeric:tolerance=0.1',
          './rules/MyRule.v2.ts',
          'a/my-rule_v2.mjs',
        ],
        ...[tidy, anonymous[0]!],
      ]),
      ['math', 'math_2', 'numeric', 'my_rule_v2', 'my_rule_v2_2', 'tidy', 'verifier'],
    )
  })

  it('hold float32 rewards of each before weights, beside reward and verdict', async () => {
    const batch = makeBatch(5, { completion: completions, reference: completions.map(() => '42') })
    await using pool = await createVerifierPool({ verifiers: ['numeric', tidy], rewardWeights: [1, 0.1] })
    const rows = await judge(batch, pool)
    assert.deepEqual(
      rows.schema.fields.map(({ name }) => name),
      ['completion', 'reference', 'reward', 'verdict', 'reward_numeric', 'reward_tidy'],
    )
    const { type } = rows.getChild('reward_tidy')!
    assert.ok(DataType.isFloat(type) && type.precision === Precision.SINGLE)
    assert.deepEqual([...rows.getChild('reward_tidy')!], [1, 0, 1, 0, 0])
    assert.deepEqual(partRewardMeans(rows, pool), { numeric: 2 / 5, tidy: 2 / 5 })
    await using single = await createVerifierPool('numeric')
    assert.deepEqual(
      (await judge(batch, single)).schema.fields.map(({ name }) => name),
      ['completion', 'reference', 'reward', 'verdict'],
    )
  })

  it('leave right and wrong to the verdict: psr and nsr keep the same rows whatever the weights', async () => {
    const columns = (rewards: number[], verdicts: Verdict[]) => ({
      rewards,
      verdicts,
      groupIds: [0, 0, 0, 0],
    })
    const verdicts: Verdict[] = ['right', 'right', 'wrong', 'unparsed']
    for (const rewards of [
      [1, 1, 0, 0],
      [1.1, -0.4, 0.1, 0.1],
    ]) {
      const kept = (kind: 'psr' | 'nsr') => [
        ...assignAdvantages(columns(rewards, verdicts), resolveObjective({ kind })).keptRows,
      ]
      assert.deepEqual(kept('psr'), [0, 1])
      assert.deepEqual(kept('nsr'), [2, 3])
    }
    const { rowAdvantages } = assignAdvantages(
      columns([1.1, -0.4, 0.1, 0.1], verdicts),
      resolveObjective({ kind: 'grpo', scaleRewards: 'none' }),
    )
    const rounded = [...rowAdvantages].map((advantage) => Math.round(1000 * advantage))
    assert.deepEqual(rounded, [875, -625, -125, -125])
  })
})
