import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { tensorShapesOf } from '../../src/checkpoint.ts'
import { type ExplainOptions, type Explanation, explain, explanationRecord } from '../../src/explain.ts'
import type { ObjectiveSpec } from '../../src/objective-options.ts'
import type { Policy } from '../../src/policy.ts'
import { policyLoss } from '../../src/policy-loss.ts'
import { appendColumns, columnsOf, dropColumns, type RolloutBatch, takeRows } from '../../src/rollouts.ts'
import { bits } from '../float-bits.ts'
import { judged, promptsOfLength, tinyPolicy, VOCAB } from '../native-addon/tiny-policy.ts'
import { refused } from '../refused.ts'
import { rolloutsOf } from './table-policy.ts'

const sampled = async (policy: Policy, temperature = 1) =>
  judged(
    await policy.generateAll(promptsOfLength(4, 20), {
      numGenerations: 6,
      maxCompletionLength: 12,
      temperature,
    }),
  )

/** Rollouts that the policy has moved on from. */
async function stale(policy: Policy): Promise<RolloutBatch> {
  const batch = await sampled(policy)
  for (let i = 0; i < 3; i++)
    await policy.update(batch, { objective: { kind: 'reinforce' }, learningRate: 2e-2 })
  return batch
}

const adamw = { kind: 'adamw', learningRate: 1e-3 } as const
const everyRow = (batch: RolloutBatch) => Array.from({ length: batch.numRows }, (_, row) => row)

async function everything(policy: Policy): Promise<string[]> {
  const names = tensorShapesOf(policy.config).map(({ name }) => name)
  return Promise.all(names.map(async (name) => bits(await policy.parameter(name))))
}

describe('explain', () => {
  it('shows the weights whose gradient is the one that training makes, bit for bit, and what is clipped', async () => {
    await using policy = await tinyPolicy()
    const batch = await stale(policy)
    const objective = { kind: 'w-reinforce', epsilon: 0.05, delta: 1.5 } as const
    const explanation = await explain(policy, batch, { objective, optimizer: adamw, rows: everyRow(batch) })
    const tokens = explanation.rows.flatMap((row) => row.tokens)
    await policy.update(batch, { objective, learningRate: 0, weightDecay: 0 })
    const name = 'model.layers.0.self_attn.q_proj.weight'
    const trained = await policy.gradient(name)
    await policy.grad(
      batch,
      Float32Array.from(tokens, ({ weight }) => weight),
    )
    assert.equal(bits(await policy.gradient(name)), bits(trained))
    const { metrics } = explanation
    const share = (bound: string) => tokens.filter(({ clipped }) => clipped === bound).length / tokens.length
    assert.ok(share('low') > 0 && share('high') > 0)
    assert.equal(share('low'), metrics['clip_ratio/low_mean'])
    assert.equal(share('high'), metrics['clip_ratio/high_mean'])
    assert.ok(tokens.every(({ clipped, weight }) => clipped === null || weight === 0))
    const mean = tokens.reduce((sum, { ratio }) => sum + ratio, 0) / tokens.length
    assert.ok(Math.abs(mean - metrics.ratio_mean!) < 1e-6)
  })

  it('has one ratio for a completion where the objective has', async () => {
    await using policy = await tinyPolicy()
    const batch = await stale(policy)
    const options = { objective: { kind: 'gspo', epsilon: 0.01 }, optimizer: adamw } as const
    const { rows } = await explain(policy, batch, { ...options, rows: everyRow(batch) })
    assert.ok(rows.some(({ tokens }) => tokens[0]!.ratio !== rows[0]!.tokens[0]!.ratio))
    for (const { tokens } of rows) {
      assert.equal(new Set(tokens.map(({ ratio }) => ratio)).size, 1)
      assert.equal(new Set(tokens.map(({ clipped }) => clipped)).size, 1)
      const mean = tokens.reduce((sum, t) => sum + t.logprob - t.recordedLogprob, 0) / tokens.length
      assert.ok(Math.abs(Math.exp(mean) - tokens[0]!.ratio) < 1e-6)
    }
  })

  it('gives minus the derivative by every logit, against finite differences of the loss', async () => {
    const specs: readonly (readonly [ObjectiveSpec, number])[] = [
      [{ kind: 'w-reinforce', lambda: 0.4 }, 1],
      [{ kind: 'grpo', beta: 0.3, entropyCoefficient: 0.2, epsilon: 0.3 }, 0.7],
      [{ kind: 'gspo', epsilon: 5, entropyCoefficient: 0.1 }, 1.3],
    ]
    for (const [objective, temperature] of specs) {
      await using policy = await tinyPolicy()
      const batch = await withReference(policy, await sampled(policy, temperature))
      await policy.update(batch, { objective: { kind: 'reinforce' }, learningRate: 3e-3 })
      const optimizer = { kind: 'sgd', learningRate: 1e-3 } as const
      const rows = everyRow(batch)
      const explanation = await explain(policy, batch, { objective, optimizer, rows, top: VOCAB })
      const tokens = explanation.rows.flatMap((row) => row.tokens)
      for (const at of [0, 7, 30, tokens.length - 1])
        compareWithDifferences(batch, explanation, objective, at)
    }
  })

  it('measures what training then does, and leaves the policy as it is, to the bit', async () => {
    for (const dtype of ['f32', 'bf16'] as const) {
      await using policy = await tinyPolicy({ dtype })
      await using twin = await tinyPolicy({ dtype })
      const batch = await stale(policy)
      await stale(twin)
      const before = await everything(policy)
      const objective = { kind: 'nsr', entropyCoefficient: 0.01 } as const
      const rows = everyRow(batch)
      const explanation = await explain(policy, batch, { objective, optimizer: adamw, rows })
      await explain(policy, batch, { objective, optimizer: { kind: 'sgd', learningRate: 1 } })
      assert.deepEqual(await everything(policy), before)
      assert.equal(policy.policyStep, 3)
      assert.equal(explanation.momentSteps, 3)
      assert.ok(explanation.maxRecordedGap > 0)
      for (const each of [policy, twin]) await each.update(batch, { objective, learningRate: 1e-3 })
      assert.deepEqual(await everything(policy), await everything(twin), 'moments too')
      const after = await policy.score(batch)
      const tokens = explanation.rows.flatMap((row) => row.tokens)
      assert.equal(bits(Float32Array.from(tokens, (token) => token.logprobAfter!)), bits(after.logprobs))
      assert.equal(bits(Float32Array.from(tokens, (token) => token.entropyAfter!)), bits(after.entropies))
      for (const { id, logprob, logprobAfter, alternatives } of tokens) {
        const own = alternatives.find(({ sampled }) => sampled)
        if (own !== undefined)
          assert.deepEqual([own.id, own.logprob, own.logprobAfter], [id, logprob, logprobAfter])
      }
    }
  })

  it('knows rows that are left out, masked tokens, and completions without any', async () => {
    await using policy = await tinyPolicy()
    const batch = await rolloutsOf(policy, [
      { context: 5, completion: [1, 2, 3], reward: 0, mask: [1, 0, 1] },
      { context: 6, completion: [4, 5], reward: 1 },
      { context: 7, completion: [], reward: 0 },
      { context: 8, completion: [9], reward: null },
    ])
    const options = { objective: { kind: 'nsr' }, optimizer: adamw } as const
    const { rows } = await explain(policy, batch, { ...options, rows: [0, 1, 2, 3], maxTokens: 2 })
    assert.deepEqual(
      rows.map(({ kept, advantage, completionLength, tokens }) => [
        kept,
        advantage,
        completionLength,
        tokens.length,
      ]),
      [
        [true, -1, 3, 2],
        [false, null, 2, 2],
        [true, -1, 0, 0],
        [false, null, 1, 1],
      ],
    )
    assert.deepEqual(
      rows.map(({ tokens }) => tokens.map(({ active, weight }) => [active, weight])),
      [
        [
          [true, -0.5],
          [false, 0],
        ],
        [
          [false, 0],
          [false, 0],
        ],
        [],
        [[false, 0]],
      ],
    )
    const shown = (more: Partial<ExplainOptions>) => explain(policy, batch, { ...options, ...more })
    assert.deepEqual(
      (await shown({})).rows.map(({ row }) => row),
      [0],
    )
    const psr = await shown({ objective: { kind: 'psr' } })
    assert.deepEqual(
      psr.rows.map(({ row }) => row),
      [1],
    )
    const none = await shown({ rows: [3], top: 0 })
    assert.deepEqual(none.rows[0]!.tokens[0]!.alternatives, [])
  })

  it('clips the gradient of sgd as the engine does', async () => {
    await using policy = await tinyPolicy()
    const batch = await sampled(policy)
    const step = (optimizer: object) =>
      explain(policy, batch, {
        objective: { kind: 'nsr' },
        optimizer: { kind: 'sgd', learningRate: 0.1, ...optimizer },
      })
    const free = await step({ maxGradNorm: 0 })
    const norm = free.metrics.grad_norm!
    const half = await step({ maxGradNorm: norm / 2 })
    const slow = await step({ maxGradNorm: 0, learningRate: 0.05 })
    const change = ({ rows }: Explanation) => rows[0]!.tokens[0]!.logprobAfter! - rows[0]!.tokens[0]!.logprob
    assert.ok(Math.abs(change(half) - change(slow)) < 1e-3 * Math.abs(change(slow)) + 1e-6)
    assert.ok(Math.abs(change(free)) > 1.5 * Math.abs(change(half)))
  })

  it('is written in snake case, without what JSON does not know', async () => {
    await using policy = await tinyPolicy()
    const batch = await sampled(policy)
    const record = explanationRecord(
      await explain(policy, batch, { objective: { kind: 'nsr' }, optimizer: adamw, top: 1, maxTokens: 1 }),
    )
    assert.deepEqual(JSON.parse(JSON.stringify(record)), record)
    assert.deepEqual(Object.keys(record), [
      ...[
        'objective',
        'optimizer',
        'moment_steps',
        'batch_rows',
        'skipped',
        'metrics',
        'max_recorded_gap',
        'rows',
      ],
    ])
    const [row] = record.rows as { tokens: Record<string, number>[] }[]
    const [token] = row!.tokens
    assert.equal(token!.logprob_change, token!.logprob_after! - token!.logprob!)
    assert.equal(token!.entropy_change, token!.entropy_after! - token!.entropy!)
  })

  it('refuses what it cannot explain, and says what would help', async () => {
    await using policy = await tinyPolicy()
    const batch = await sampled(policy)
    const of = (rows: RolloutBatch, more: object = {}) =>
      explain(policy, rows, { objective: { kind: 'nsr' }, optimizer: adamw, ...more })
    const refusals: [Promise<unknown>, RegExp][] = [
      [
        of(dropColumns(batch, ['reward', 'verdict'])),
        /explain: column 'reward' is missing; .*coppice verify/,
      ],
      [
        of(dropColumns(batch, ['logprobs', 'policy_step'])),
        /columns 'logprobs', 'policy_step' are missing; .*coppice generate/,
      ],
      [of(takeRows(batch, []), { source: 'none.arrow' }), /none\.arrow: .*without rows/],
      [of(batch, { rows: [12] }), /rows\[0\]/],
      [of(batch, { top: VOCAB + 1 }), /top/],
      [of(batch, { maxTokens: 0 }), /maxTokens/],
      [of(batch, { optimizer: { kind: 'adam', learningRate: 1 } }), /did you mean 'adamw'/],
      [of(batch, { optimizer: { kind: 'sgd' } }), /learningRate/],
      [of(batch, { optimizer: { kind: 'sgd', learningRate: 1, adamBeta1: 0.5 } }), /adamBeta1/],
      [of(batch, { objective: { kind: 'grpo', beta: 0.1 } }), /ref_logprobs/],
      [of(batch, { objectives: 1 }), /did you mean 'objective'/],
    ]
    for (const [refusal, message] of refusals)
      await assert.rejects(refusal, refused('INVALID_ARGUMENT', message))
    const foreign = await rolloutsOf(policy, [{ context: 1, completion: [2, 3], reward: 0 }])
    const { completionTokens } = columnsOf(foreign)
    completionTokens.values[1] = VOCAB
    await assert.rejects(
      of(foreign),
      refused(
        'INVALID_ARGUMENT',
        /'completion_tokens', row 0, token 1: .*below 61.*another one.*received 61/,
      ),
    )
    const controller = new AbortController()
    controller.abort(new Error('enough'))
    await assert.rejects(of(batch, { signal: controller.signal }), /enough/)
  })
})

async function withReference(policy: Policy, batch: RolloutBatch): Promise<RolloutBatch> {
  const { logprobs } = await policy.score(batch)
  const { offsets } = columnsOf(batch).completionTokens
  const values = logprobs.map((logprob, t) => logprob + 0.3 * Math.sin(t))
  return appendColumns(batch, { ref_logprobs: { values, offsets } })
}

/** The loss of the batch in float64 as a function of one token's logits, which are log-probs plus nothing. */
function compareWithDifferences(
  batch: RolloutBatch,
  { rows }: Explanation,
  objective: ObjectiveSpec,
  at: number,
): void {
  const tokens = rows.flatMap((row) => row.tokens.map((token) => ({ token, temperature: row.temperature })))
  const { token, temperature } = tokens[at]!
  const columns = columnsOf(batch)
  const lossOf = (scaled: readonly number[]) => {
    const total = Math.log(scaled.reduce((sum, y) => sum + Math.exp(y), 0))
    const entropy = scaled.reduce((sum, y) => sum - Math.exp(y - total) * (y - total), 0)
    const drawn = token.alternatives.findIndex(({ sampled }) => sampled)
    const values = (name: 'logprob' | 'entropy', own: number) =>
      tokens.map((each, i) => (i === at ? own : each.token[name]))
    return policyLoss(
      {
        logprobs: Float64Array.from(values('logprob', scaled[drawn]! - total)),
        entropies: Float64Array.from(values('entropy', entropy)),
        oldLogprobs: Float64Array.from(tokens, (each) => each.token.recordedLogprob),
        refLogprobs: Float64Array.from(columns.refLogprobs!.values),
        offsets: columns.completionTokens.offsets,
        rewards: columns.rewards!,
        verdicts: columns.verdicts!,
        groupIds: columns.groupIds,
      },
      objective,
    ).loss
  }
  const scaled = token.alternatives.map(({ logprob }) => logprob)
  const width = 1e-4
  const largest = Math.max(...token.alternatives.map(({ logitDescent }) => Math.abs(logitDescent)))
  for (const k of [0, 1, 5, 20, VOCAB - 1, token.alternatives.findIndex(({ sampled }) => sampled)]) {
    const [up, down] = [width, -width].map((by) =>
      lossOf(scaled.map((y, v) => (v === k ? y + by / temperature : y))),
    )
    const slope = (down! - up!) / (2 * width)
    const found = token.alternatives[k]!.logitDescent
    assert.ok(Math.abs(found - slope) < 1e-4 * largest + 1e-9, `${objective.kind}, ${k}: ${found}, ${slope}`)
  }
}
