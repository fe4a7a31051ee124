import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ExplainedToken, explain } from '../../src/explain.ts'
import type { ObjectiveSpec } from '../../src/objective-options.ts'
import { rolloutsOf, tablePolicy, WIDTH } from './table-policy.ts'

// arXiv 2506.01347, section 4: what PSR, NSR and an entropy bonus do to the logits of one token, where logits are all there is.

const PRIOR = [0.45, 0.25, 0.15, 0.1, 0.05]
const SURE = [0.99, 0.004, 0.003, 0.002, 0.001]
/** Of the logits in the table: small enough for the first order to be nearly all of it. */
const RATE = 0.01

/** One step on one completion of one token; the token, and its alternatives by id. */
async function explainTable(
  prior: readonly number[],
  drawn: number,
  reward: number,
  objective: ObjectiveSpec,
) {
  await using policy = await tablePolicy(prior)
  const batch = await rolloutsOf(policy, [{ context: 0, completion: [drawn], reward }])
  const { skipped, rows } = await explain(policy, batch, {
    objective,
    optimizer: { kind: 'sgd', learningRate: RATE / WIDTH, maxGradNorm: 0 },
  })
  const token = rows[0]!.tokens[0]!
  const byId = [...token.alternatives].sort((a, b) => a.id - b.id)
  return {
    ...{ skipped, token },
    descent: byId.map((each) => each.logitDescent),
    moved: byId.map((each) => each.logprobAfter! - each.logprob),
  }
}

const changeOf = (token: ExplainedToken) => token.logprobAfter! - token.logprob
function near(actual: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected} within ${tolerance}`)
}

function allNear(
  actual: readonly number[],
  expected: readonly number[],
  tolerance: (x: number) => number,
): void {
  assert.equal(actual.length, expected.length)
  for (const [i, each] of actual.entries()) near(each, expected[i]!, tolerance(expected[i]!))
}

/** Of a descent, and of a measured change: the second order, and what fp32 leaves open. */
const exactly = () => 1e-6
const nearly = (expected: number) => 0.02 * Math.abs(expected) + 2e-5

/** What a step of SGD on the logits themselves makes of log-probs, to first order. */
function tabular(prior: readonly number[], descent: readonly number[]): number[] {
  const mean = prior.reduce((sum, p, v) => sum + p * descent[v]!, 0)
  return descent.map((each) => RATE * (each - mean))
}

describe('explain on a table of logits', () => {
  it('nsr takes 1 - p from the token drawn and gives the others their share of the prior', async () => {
    const drawn = 2
    const { token, descent, moved } = await explainTable(PRIOR, drawn, 0, { kind: 'nsr' })
    assert.equal(token.weight, -1)
    allNear(
      descent,
      PRIOR.map((p, v) => (v === drawn ? -(1 - p) : p)),
      exactly,
    )
    near(token.logitDescent, -(1 - PRIOR[drawn]!), 1e-6)
    const expected = tabular(PRIOR, descent)
    allNear(moved, expected, nearly)
    assert.ok(moved[drawn]! < 0)
    // The likelier a token was, the more it gains.
    assert.ok(moved[0]! > moved[1]! && moved[1]! > moved[3]! && moved[3]! > moved[4]!)
    near((moved[0]! - moved[4]!) / (moved[1]! - moved[4]!), (0.45 - 0.05) / (0.25 - 0.05), 0.05)
  })

  it('nsr leaves a token alone of which the policy is sure, in proportion to 1 - p', async () => {
    const sure = await explainTable(SURE, 0, 0, { kind: 'nsr' })
    const unsure = await explainTable(PRIOR, 0, 0, { kind: 'nsr' })
    assert.equal(sure.token.weight, unsure.token.weight)
    near(sure.token.logitDescent / unsure.token.logitDescent, (1 - 0.99) / (1 - 0.45), 1e-3)
    const most = Math.max(...sure.descent.map(Math.abs))
    assert.ok(most <= 1 - 0.99 + 1e-6, `${most}`)
    assert.ok(Math.abs(changeOf(sure.token)) < 0.002 * Math.abs(changeOf(unsure.token)))
  })

  it('psr sharpens: the token drawn gains, every other loses, the more the likelier it was', async () => {
    const { token, descent, moved } = await explainTable(PRIOR, 0, 1, { kind: 'psr' })
    assert.equal(token.weight, 1)
    allNear(
      descent,
      PRIOR.map((p, v) => (v === 0 ? 1 - p : -p)),
      exactly,
    )
    assert.ok(moved[0]! > 0 && moved.slice(1).every((change) => change < 0))
    assert.ok(moved[1]! < moved[2]! && moved[2]! < moved[3]! && moved[3]! < moved[4]!)
    assert.ok(token.entropyAfter! < token.entropy)
  })

  it('an entropy bonus flattens, whatever was drawn', async () => {
    const objective = { kind: 'reinforce', entropyCoefficient: 1 } as const
    const { token, descent, moved } = await explainTable(PRIOR, 3, 0, objective)
    assert.equal(token.weight, 0)
    assert.equal(token.entropyWeight, 1)
    const entropy = -PRIOR.reduce((sum, p) => sum + p * Math.log(p), 0)
    allNear(
      descent,
      PRIOR.map((p) => -p * (Math.log(p) + entropy)),
      exactly,
    )
    const expected = tabular(PRIOR, descent)
    allNear(moved, expected, nearly)
    assert.ok(moved[0]! < 0 && moved[3]! > 0 && moved[4]! > 0)
    assert.ok(token.entropyAfter! > token.entropy)
  })

  it('solved prompts teach nsr nothing', async () => {
    const { skipped, token } = await explainTable(PRIOR, 0, 1, { kind: 'nsr' })
    assert.equal(skipped, 'no-wrong-completion')
    const { weight, logitDescent, logprobAfter, entropyAfter, active } = token
    assert.deepEqual(
      { weight, logitDescent, logprobAfter, entropyAfter, active },
      { weight: 0, logitDescent: 0, logprobAfter: null, entropyAfter: null, active: false },
    )
  })
})
