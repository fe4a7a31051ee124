import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { tableFromIPC, tableToIPC } from 'apache-arrow'
import { CoppiceError } from '../../src/errors.ts'
import {
  appendColumns,
  columnsOf,
  concatBatches,
  dropColumns,
  makeBatch,
  readBatches,
  readTable,
  sliceRows,
  tokenColumnsOf,
  writeTable,
} from '../../src/rollouts.ts'
import { contents, sampleBatch } from './sample-batch.ts'

const folder = mkdtempSync(join(tmpdir(), 'coppice-rollouts-'))
after(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const FIXTURES = join(dirname(fileURLToPath(import.meta.url)), 'fixtures')

const batches = () => [sampleBatch(0), sliceRows(concatBatches([sampleBatch(1), sampleBatch(2)]), 1, 4)]
const rows = () => batches().flatMap(contents)

describe('files of rollouts', () => {
  for (const extension of ['arrow', 'jsonl']) {
    it(`come back from .${extension} as they were written`, async () => {
      const path = at(`a.${extension}`)
      await writeTable(path, batches())
      const read = await readTable(path)
      assert.deepEqual(contents(read), rows())
      assert.deepEqual(
        columnsOf(read).logprobs.values,
        columnsOf(concatBatches(batches())).logprobs.values.slice(),
      )
      await writeTable(path, [read])
      assert.deepEqual(contents(await readTable(path)), rows())
      assert.deepEqual(
        readdirSync(folder).filter((name) => name.endsWith('.partial')),
        [],
      )
    })
  }

  it('hold the same rows in both formats', async () => {
    await writeTable(at('b.arrow'), batches())
    await writeTable(at('b.jsonl'), readBatches(at('b.arrow')))
    assert.deepEqual(contents(await readTable(at('b.jsonl'))), rows())
  })

  it('bring every 32-bit float back to the bit, and 64-bit integers whole', async () => {
    const floats = Float32Array.from({ length: 4000 }, (_, i) => {
      const bits = new Uint32Array(1)
      bits[0] = Math.imul(i + 1, 2654435761)
      return new Float32Array(bits.buffer)[0]!
    })
    floats.set([NaN, Infinity, -Infinity, 0, -0, 1e-45, 3.4028234663852886e38, 0.1])
    const lists = { values: floats, offsets: Int32Array.of(0, floats.length) }
    const seed = BigUint64Array.of(2n ** 64n - 1n)
    await writeTable(at('floats.jsonl'), [makeBatch(1, { scored_logprobs: lists, seed })])
    const read = await readTable(at('floats.jsonl'))
    const values = read.getChild('scored_logprobs')!.data[0]!.children[0]!.values as Float32Array
    for (const [i, value] of floats.entries()) {
      assert.ok(Object.is(values[i], value), `${i}: ${value} became ${values[i]}`)
    }
    assert.equal(read.getChild('seed')!.get(0), 2n ** 64n - 1n)
    assert.match(readFileSync(at('floats.jsonl'), 'utf8'), /"seed":"18446744073709551615"/)
  })

  it('keep columns of other people as they are, whatever is in them', async () => {
    const text = [
      '{"prompt_id":"a","answer":7,"ok":true,"meta":{"k":[1,"x",null]},"mixed":1,"note":"n"}',
      '{"prompt_id":"b","answer":null,"ok":null,"meta":null,"mixed":"two","extra":[[]]}',
    ]
    writeFileSync(at('other.jsonl'), `${text[0]}\n\n${text[1]}\n`)
    const read = await readTable(at('other.jsonl'))
    await writeTable(at('other.arrow'), [appendColumns(read, { reward: [1, 0] })])
    await writeTable(at('again.jsonl'), readBatches(at('other.arrow')))
    const lines = readFileSync(at('again.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.deepEqual(lines, [
      { ...JSON.parse(text[0]!), extra: null, reward: 1 },
      { ...JSON.parse(text[1]!), note: null, reward: 0 },
    ])
  })

  it('written by pyarrow are read: dictionaries, nulls, nested and large types', async () => {
    // pyarrow 26: two record batches of a table of three rows.
    const read = await readTable(join(FIXTURES, 'pyarrow.arrow'))
    assert.deepEqual([...tokenColumnsOf(read).completionTokens.values], [7, 8, 9])
    assert.deepEqual(contents(read)[2], {
      prompt_id: 'c',
      prompt_tokens: [4, 5, 6],
      completion_tokens: [],
      temperature: 2,
      verdict: 'wrong',
      reward: 0,
      when: 3,
      flag: false,
      nested: { x: '2n', y: 'w' },
      big: null,
      none: null,
      i64: `${2n ** 60n}n`,
    })
    assert.equal(read.getChild('verdict')!.get(1), null)
  })

  it('written here are read by apache-arrow, with one dictionary a column', async () => {
    const other = appendColumns(dropColumns(sampleBatch(5), ['finish_reason']), {
      finish_reason: ['cancelled', 'stop'],
    })
    const foreign = tableFromIPC(tableToIPC(tableFromIPC(readFileSync(await written('c.arrow', [other])))))
      .batches[0]!
    const table = tableFromIPC(readFileSync(await written('d.arrow', [sampleBatch(0), foreign])))
    const words = table.toArray().map((row) => [row.finish_reason, row.verdict])
    assert.deepEqual(words, [
      ['stop', 'right'],
      ['length', null],
      ['cancelled', 'right'],
      ['stop', null],
    ])
  })

  it('without rows keep their columns', async () => {
    for (const name of ['none.arrow', 'none.jsonl']) {
      const read = await readTable(await written(name, [sliceRows(sampleBatch(), 0, 0)]))
      assert.equal(read.numRows, 0)
    }
    assert.equal(columnsOf(await readTable(at('none.arrow'))).rows, 0)
  })

  it('refuse names of other formats and places that cannot be', async () => {
    const refusedAs = (code: string, message: RegExp) => (error: CoppiceError) => {
      assert.ok(error instanceof CoppiceError, String(error))
      assert.equal(error.code, code)
      assert.match(error.message, message)
      return true
    }
    await assert.rejects(
      readTable('x.csv'),
      refusedAs('INVALID_ARGUMENT', /ends in .arrow or .jsonl; received ".csv"/),
    )
    await assert.rejects(
      readTable(at('absent.arrow')),
      refusedAs('INVALID_ARGUMENT', /absent.arrow: cannot be read/),
    )
    await assert.rejects(
      writeTable(at('no/such/folder.jsonl'), [sampleBatch()]),
      refusedAs('INVALID_ARGUMENT', /cannot be written/),
    )
    const different = writeTable(at('e.arrow'), [sampleBatch(), dropColumns(sampleBatch(), ['tag'])])
    await assert.rejects(different, refusedAs('SHAPE_MISMATCH', /batch 1/))
    assert.ok(!readdirSync(folder).includes('e.arrow'))
  })
})

async function written(name: string, from: Parameters<typeof writeTable>[1]): Promise<string> {
  await writeTable(at(name), from)
  return at(name)
}
