import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import type { Verdict } from '../../src/verdicts.ts'
import { builtinVerifier } from '../../src/verifiers/builtin.ts'
import { verifierNames, verifyAll } from '../../src/verify.ts'
import { sampleOf } from './verdict-table.ts'

interface Row {
  reference: string
  completion: string
  verdict?: Verdict
  reward?: number | null
  /** How many tokens the completion has. */
  tokens?: number
  finish_reason?: 'stop' | 'length'
}

const text = await readFile(new URL('../../docs/verifiers.md', import.meta.url), 'utf8')
const examples = [...text.matchAll(/^```jsonl (.+)\n([\s\S]*?)^```/gm)].map(([, spec, rows]) => ({
  spec: spec!,
  rows: rows!
    .trim()
    .split('\n')
    .map((row) => JSON.parse(row) as Row),
}))

describe('docs/verifiers.md', () => {
  it('has an example of every verifier', () => {
    const shown = new Set(examples.map(({ spec }) => spec.split(':')[0]))
    assert.deepEqual(
      verifierNames.filter((name) => !shown.has(name)),
      [],
    )
  })

  for (const { spec, rows } of examples) {
    it(`says what ${spec} says`, async () => {
      const samples = rows.map(({ reference, completion, tokens = 0, finish_reason = 'stop' }) => ({
        ...sampleOf(reference, completion),
        completionTokens: new Int32Array(tokens),
        finishReason: finish_reason,
      }))
      const { isShaping = false } = builtinVerifier(spec)
      const verifier = isShaping ? { verifiers: ['exact', spec], rewardWeights: [0, 1] } : spec
      const judgements = await verifyAll(samples, verifier, { concurrency: 1 })
      for (const [i, row] of rows.entries()) {
        const { verdict, reward, reason } = judgements[i]!
        assert.ok(row.reward !== undefined || row.verdict !== undefined)
        if (row.verdict !== undefined) assert.equal(verdict, row.verdict, `${row.completion}: ${reason}`)
        if (row.reward !== undefined) assert.equal(reward, row.reward, row.completion)
      }
    })
  }
})
