import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { describe, it } from 'node:test'
import { Field, Int64, List, Struct, Table, tableToIPC, Utf8, vectorFromArray } from 'apache-arrow'
import { promptBatch, promptsOf } from '../../src/prompts.ts'
import { makeBatch, readTable, writeTable } from '../../src/rollouts.ts'
import { refused } from '../refused.ts'
import { fixture, jsonl, pairs, read, temporaryFiles, units } from './files.ts'

const file = temporaryFiles()
const rows = [
  { prompt_id: 'a', prompt: 'one, "two"', reference: '1' },
  { prompt_id: 'b', prompt: 'zwei\nZeilen ü', reference: '2' },
]

describe('prompts of every format', () => {
  it('are the same prompts', async () => {
    const expected = rows.map(({ prompt_id, prompt, reference }) => ({
      promptId: prompt_id,
      prompt,
      reference,
      promptTokens: units.encode(prompt),
    }))
    const arrow = file('x.arrow', '')
    await writeTable(arrow, [
      makeBatch(2, {
        prompt_id: rows.map((row) => row.prompt_id),
        prompt: rows.map((row) => row.prompt),
        reference: rows.map((row) => row.reference),
      }),
    ])
    const quoted = rows.map((row) => Object.values(row).map((text) => `"${text.replaceAll('"', '""')}"`))
    const csv = ['prompt_id,prompt,reference', ...quoted.map((fields) => fields.join(','))]
    const paths = [
      file('x.jsonl', jsonl(...rows)),
      file('x.json', JSON.stringify(rows)),
      file('y.json', JSON.stringify({ data: rows })),
      file('lines.json', `\ufeff${jsonl(...rows)}`),
      file('x.csv', `${csv.join('\n')}\n`),
      arrow,
    ]
    for (const path of paths) assert.deepEqual(await read(path), expected, path)
  })

  it('JSON under .json is lines only where its first line is a row and another follows', async () => {
    const [first] = rows
    assert.equal((await read(file('one.json', `${JSON.stringify(first)}\n \n`))).length, 1)
    assert.equal((await read(file('pretty.json', JSON.stringify(rows, null, 2)))).length, rows.length)
    const broken = file('broken.json', `${jsonl(...rows)}{"prompt":`)
    await assert.rejects(
      read(broken),
      refused('DATA_CORRUPT', new RegExp(`line ${rows.length + 1}: not JSON`)),
    )
  })

  it('as coppice writes them come back as they were', async () => {
    const prompts = rows.map((row, i) => ({
      promptId: row.prompt_id,
      prompt: row.prompt,
      reference: row.reference,
      promptTokens: Int32Array.of(i, 7),
    }))
    for (const name of ['own.arrow', 'own.jsonl']) {
      const path = file(name, '')
      await writeTable(path, [promptBatch(prompts)])
      assert.deepEqual(await read(path), prompts)
      assert.deepEqual(await read(path), promptsOf(await readTable(path)))
    }
  })

  it('Arrow: whole numbers of 64 bits, structs and lists of them', async () => {
    const message = new Struct([new Field('role', new Utf8()), new Field('content', new Utf8())])
    const chats = [[{ role: 'user', content: 'p' }], [{ role: 'user', content: 'q' }]]
    const table = new Table({
      prompt: vectorFromArray(chats, new List(new Field('item', message))),
      reference: vectorFromArray([5n, 6n], new Int64()),
    })
    const path = file('nested.arrow', tableToIPC(table, 'file'))
    const found = await read(path)
    assert.deepEqual(pairs(found), [
      ['p', '5'],
      ['q', '6'],
    ])
    assert.deepEqual(found[0]!.messages, [{ role: 'user', content: 'p' }])
  })

  it('Parquet: row groups, codecs and pages of every kind', async () => {
    for (const name of ['math', 'gsm8k', 'amc', 'aime', 'dapo']) {
      assert.equal((await read(fixture(`${name}.parquet`))).length, 10, name)
    }
  })

  it('of other extensions, and files that are not there, are refused', async () => {
    await assert.rejects(
      read('x.txt'),
      refused('INVALID_ARGUMENT', /x\.txt: .*\.jsonl, \.json, \.csv, \.parquet or \.arrow/),
    )
    for (const name of ['x.jsonl', 'x.json', 'x.csv', 'x.parquet', 'x.arrow']) {
      const path = file(name, '')
      rmSync(path)
      await assert.rejects(read(path), refused('INVALID_ARGUMENT', /x\.\w+: cannot be read/), name)
      await assert.rejects(
        read(`${new URL('./', import.meta.url).pathname}fixtures`),
        refused('INVALID_ARGUMENT', /fixtures/),
      )
    }
  })
})
