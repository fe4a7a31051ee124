import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import type { Verdict } from '../../src/verdicts.ts'
import { verifierNames, verifyAll } from '../../src/verify.ts'
import { sampleOf } from './verdict-table.ts'

interface Row {
  reference: string
  completion: string
  verdict: Verdict
  reward?: number | null
}

const text = await readFile(new URL('../../docs/verifiers.md', import.meta.url), 'utf8')
const examples = [...text.matchAll(/```jsonl (.+)\n([\s\S]*?)```/g)].map(([, spec, rows]) => ({
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
      const samples = rows.map(({ reference, completion }) => sampleOf(reference, completion))
      const judgements = await verifyAll(samples, spec, { concurrency: 1 })
      for (const [i, { verdict, reward, completion }] of rows.entries()) {
        assert.equal(judgements[i]!.verdict, verdict, `${completion}: ${judgements[i]!.reason}`)
        if (reward !== undefined) assert.equal(judgements[i]!.reward, reward, completion)
      }
    })
  }
})
