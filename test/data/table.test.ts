import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readDataTable, type SkippedRows, type TableOptions } from '../../src/data.ts'
import { readTable, textColumn, writeTable } from '../../src/rollouts.ts'
import { refused } from '../refused.ts'
import { fixture, jsonl, temporaryFiles } from './files.ts'

const file = temporaryFiles()

async function columns(path: string, options: TableOptions = {}): Promise<Record<string, unknown[]>> {
  const batch = await readDataTable(path, options)
  return Object.fromEntries(
    batch.schema.fields.map(({ name }) => [
      name,
      Array.from({ length: batch.numRows }, (_, i) => batch.getChild(name)!.get(i)),
    ]),
  )
}

describe('tables for a verifier', () => {
  it('keep every column, and get the reference of a known layout', async () => {
    const path = file('x.csv', 'question,answer,completion\nq,so #### 4,5\n')
    const expected = { question: ['q'], answer: ['so #### 4'], completion: ['5'], reference: ['4'] }
    assert.deepEqual(await columns(path), expected)
    const own = file('own.jsonl', jsonl({ problem: 'p', answer: '1', gold: '2', completion: 'c' }))
    assert.equal((await columns(own)).reference, undefined)
  })

  it('take named columns from any format', async () => {
    const rows = [{ p: [{ role: 'user', content: 'hi' }], r: { g: 7 }, c: 'x', n: 1 }]
    const options = { promptColumn: 'p', referenceColumn: 'r.g', completionColumn: 'c', idColumn: 'n' }
    const { prompt, reference, completion, prompt_id } = await columns(
      file('n.jsonl', jsonl(...rows)),
      options,
    )
    assert.deepEqual([prompt, reference, completion, prompt_id], [['hi'], ['7'], ['x'], ['1']])
    const parquet = await columns(fixture('aime.parquet'), { completionColumn: 'Problem', limit: 2 })
    assert.deepEqual(parquet.reference, ['0', '2'])
    assert.deepEqual(parquet.ID, ['2024-I-0', '2024-I-1'])
    assert.deepEqual(parquet.Answer, [0, 2])
    const nested = await columns(fixture('dapo.parquet'), {
      completionColumn: 'ability',
      filters: ['extra_info.index=0000-3'],
    })
    assert.deepEqual([nested.prompt, nested.reference], [['What is 3 + 3?'], ['6']])
  })

  it('of Arrow files keep their types; rows and names are chosen over them', async () => {
    const source = await readDataTable(
      file('s.jsonl', jsonl(...[1, 2, 3].map((i) => ({ completion: `c${i}`, level: i, a: `r${i}` })))),
    )
    const path = file('s.arrow', '')
    await writeTable(path, [source])
    assert.deepEqual(
      (await readDataTable(path)).schema.fields.map(String),
      (await readTable(path)).schema.fields.map(String),
    )
    const batch = await readDataTable(path, { filters: ['level!=2'], referenceColumn: 'a', shuffleSeed: 3 })
    const found = textColumn(batch, 'completion').map((text, i) => [text, textColumn(batch, 'reference')[i]])
    assert.deepEqual(found.toSorted(), [
      ['c1', 'r1'],
      ['c3', 'r3'],
    ])
  })

  it('leave out bad rows when asked to', async () => {
    const path = file(
      'b.jsonl',
      `${jsonl({ completion: 'c', reference: 'r' }, { completion: 1, reference: 'r' })}{\n`,
    )
    await assert.rejects(readDataTable(path), refused('DATA_CORRUPT', /b\.jsonl, line 3/))
    let skipped: SkippedRows | undefined
    const batch = await readDataTable(path, { onBadRow: 'skip', onSkipped: (rows) => (skipped = rows) })
    assert.deepEqual([batch.numRows, skipped?.count], [1, 2])
  })
})
