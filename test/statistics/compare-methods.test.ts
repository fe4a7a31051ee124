import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compareMethods, excludesZero } from '../../src/statistics/compare-methods.ts'
import {
  pairedDifferenceTable,
  passAtKTable,
  passAtKTableOverSeeds,
} from '../../src/statistics/pass-at-k-table.ts'

const base = [[0, 1, 3, 7, 16, 16, 2, 0].map((c) => ({ n: 16, c }))]
const trained = [
  [1, 1, 5, 9, 16, 15, 0, 0].map((c) => ({ n: 16, c })),
  [2, 0, 6, 12, 16, 16, 1, 4].map((c) => ({ n: 16, c })),
]

describe('compareMethods', () => {
  it('gives the tables that each method and each pair would have alone', () => {
    const options = { seed: 3, resamples: 700, level: 0.9 }
    const { ks, tables, seedTables, differences } = compareMethods([base, trained], undefined, options)
    assert.deepEqual(ks, [1, 2, 4, 8, 16])
    assertClose(tables[0]!, passAtKTable(base[0]!, ks, options))
    assertClose(tables[1]!, passAtKTableOverSeeds(trained, ks, options))
    assertClose(seedTables[1]![1]!, passAtKTable(trained[1]!, ks, options))
    assert.equal(differences.length, 1)
    assert.deepEqual([differences[0]!.a, differences[0]!.b], [0, 1])
    assertClose(differences[0]!.table, pairedDifferenceTable(base, trained, ks, options))
  })

  it('refuses a method without seeds and methods with other prompts', () => {
    assert.throws(() => compareMethods([base, []]), { code: 'INVALID_ARGUMENT' })
    assert.throws(() => compareMethods([base, [base[0]!.slice(1)]]), { code: 'SHAPE_MISMATCH' })
  })
})

describe('excludesZero', () => {
  it('tells whether the sign is settled', () => {
    assert.equal(excludesZero({ mean: 1, low: 0.1, high: 2 }), true)
    assert.equal(excludesZero({ mean: -1, low: -2, high: -0.1 }), true)
    assert.equal(excludesZero({ mean: 1, low: -0.1, high: 2 }), false)
    assert.equal(excludesZero({ mean: 0, low: 0, high: 0 }), false)
  })
})

type Table = ReturnType<typeof passAtKTable>

function assertClose(actual: Table, expected: Table): void {
  assert.deepEqual(Object.keys(actual), Object.keys(expected))
  for (const [k, interval] of Object.entries(expected)) {
    for (const end of ['mean', 'low', 'high'] as const) {
      assert.ok(Math.abs(actual[k]![end] - interval[end]) < 1e-12, `k ${k} ${end}`)
    }
  }
}
