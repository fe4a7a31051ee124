import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { explanationText } from '../../../src/cli/explain/explanation-text.ts'
import { type ExplainOptions, explain } from '../../../src/index.ts'
import { rolloutsOf, tablePolicy } from '../../explain/table-policy.ts'

/** Of two rows, of which nsr keeps the first, and one without tokens. */
async function explained(more: Partial<ExplainOptions> = {}) {
  await using policy = await tablePolicy([0.5, 0.25, 0.15, 0.1])
  const batch = await rolloutsOf(policy, [
    { context: 0, completion: [1, 2], reward: 0, mask: [1, 0] },
    { context: 0, completion: [0], reward: 1 },
    { context: 0, completion: [], reward: 0 },
  ])
  return await explain(policy, batch, {
    objective: { kind: 'nsr' },
    optimizer: { kind: 'sgd', learningRate: 0.01 },
    rows: [0, 1, 2],
    ...more,
  })
}

const wide = { width: Number.POSITIVE_INFINITY, colour: false }

describe('the text of an explanation', () => {
  it('says what is masked, left out and empty, and names tokens by their ids without a tokenizer', async () => {
    const text = explanationText(await explained(), wide)
    assert.match(text, /^nsr on 3 rows, one step of SGD at 0\.01: /)
    assert.match(text, /row 0, .*: wrong, reward 0, advantage -1, every ratio 1\n/)
    assert.match(text, /masked/)
    assert.match(text, /\n0 +#1 .*\*#1 25\.0% -/)
    assert.match(text, /\n1 +#2 .* yes /)
    assert.match(text, /row 1, .*: right, reward 1, nsr leaves the row out\n/)
    assert.match(text, /row 2, .*advantage -1\n\(the completion is empty\)/)
    assert.match(text, /Tokens of rows that are left out weigh nothing/)
  })

  it('leaves out likeliest tokens that do not fit, and says so', async () => {
    const text = explanationText(await explained(), { width: 100, colour: false })
    const lines = text.split('\n').filter((line) => /^ *\d|^ +token/.test(line))
    assert.ok(lines.length >= 4 && lines.every((line) => line.length <= 100), text)
    assert.match(text, /\([12] of 4 likeliest tokens fit into 100 columns; --json has all\)/)
  })

  it('colours what grows and what shrinks, and the widths stay those without colours', async () => {
    const explanation = await explained({ rows: [0] })
    const coloured = explanationText(explanation, { ...wide, colour: true })
    assert.ok(coloured.includes('\x1b[31m') && coloured.includes('\x1b[32m'))
    const trimmed = (text: string) => text.replace(/ +$/gm, '')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters
    assert.equal(trimmed(coloured.replace(/\x1b\[\d+m/g, '')), trimmed(explanationText(explanation, wide)))
  })

  it('says when nothing moves, and when changes drown in rounding', async () => {
    const none = explanationText(await explained({ objective: { kind: 'psr' }, rows: [0] }), wide)
    assert.match(none, /psr leaves the row out/)
    const small = explanationText(await explained({ optimizer: { kind: 'sgd', learningRate: 1e-12 } }), wide)
    assert.match(small, /Every change is within what fp32 leaves open/)
    const skipped = { ...(await explained({ rows: [2] })), skipped: 'no-wrong-completion' as const }
    assert.match(explanationText(skipped, wide), /no step is made \(no wrong completion\), nothing moves/)
  })
})
