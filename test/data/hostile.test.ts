import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { CoppiceError } from '../../src/errors.ts'
import { refused } from '../refused.ts'
import { fixture, jsonl, pairs, read, temporaryFiles } from './files.ts'

const file = temporaryFiles()
const MIB = 2 ** 20
const good = { prompt: 'a', reference: '1' }
const goodPair = ['a', '1']

describe('JSONL and JSON from strangers', () => {
  it('byte order marks, CR LF, empty lines and a missing last newline are passed over', async () => {
    const path = file('bom.jsonl', `\ufeff${JSON.stringify(good)}\r\n\r\n${JSON.stringify(good)}`)
    assert.deepEqual(pairs(await read(path)), [goodPair, goodPair])
    assert.deepEqual(pairs(await read(file('bom.json', `\ufeff${JSON.stringify([good])}\r\n`))), [goodPair])
  })

  it('lines that are no rows are named', async () => {
    const lines: [string | Uint8Array, RegExp][] = [
      ['{"prompt":"a', /not JSON/],
      ['{"prompt":"a\0"}', /not JSON/],
      ['null', /not a row; expected an object/],
      ['7', /not a row/],
      [Uint8Array.of(0x22, 0xff, 0x22), /not UTF-8/],
      ['{"prompt":7,"reference":"1"}', /no prompt in 'prompt'; expected a text/],
      ['{"prompt":"a","reference":{}}', /no reference in 'reference'/],
    ]
    for (const [line, message] of lines) {
      const path = file('bad.jsonl', Buffer.concat([Buffer.from(jsonl(good)), Buffer.from(line)]))
      await assert.rejects(read(path), refused('DATA_CORRUPT', /bad\.jsonl, line 2: /))
      await assert.rejects(read(path), refused('DATA_CORRUPT', message))
      assert.deepEqual(pairs(await read(path, { onBadRow: 'skip' })), [goodPair])
    }
  })

  it('keys called __proto__ and constructor are columns like any other', async () => {
    const line = '{"__proto__":{"prompt":"evil"},"constructor":1,"toString":2,"prompt":"a","reference":"1"}\n'
    assert.deepEqual(pairs(await read(file('proto.jsonl', line))), [goodPair])
    assert.deepEqual(pairs(await read(file('proto.csv', '__proto__,prompt,reference\nx,a,1\n'))), [goodPair])
    const evil = file('evil.jsonl', '{"__proto__":{"prompt":"evil"}}\n')
    await assert.rejects(read(evil), refused('INVALID_ARGUMENT', /no prompts.*__proto__/))
    const path = file('named.jsonl', '{"__proto__":"p","reference":"1"}\n')
    assert.deepEqual(pairs(await read(path, { promptColumn: '__proto__' })), [['p', '1']])
    await assert.rejects(
      read(path, { promptColumn: '__proto__', referenceColumn: 'constructor.name' }),
      refused('INVALID_ARGUMENT', /no column 'constructor\.name'/),
    )
    assert.equal(({} as { prompt?: unknown }).prompt, undefined)
  })

  it('a line of 100 MB is refused, or skipped, without being held', async () => {
    const long = Buffer.alloc(100 * MIB, 0x61)
    const path = file(
      'long.jsonl',
      Buffer.concat([Buffer.from(jsonl(good)), long, Buffer.from(`\n${jsonl(good)}`)]),
    )
    await assert.rejects(
      read(path),
      refused('DATA_CORRUPT', /line 2: a line that is too long; expected at most 16 MiB/),
    )
    assert.deepEqual(pairs(await read(path, { onBadRow: 'skip' })), [goodPair, goodPair])
  })

  it('JSON that is all brackets, or nothing, is refused', async () => {
    const deep = '['.repeat(8 * MIB)
    await assert.rejects(
      read(file('deep.json', deep)),
      refused('DATA_CORRUPT', /nested too deep; expected at most 256/),
    )
    await assert.rejects(read(file('deep.jsonl', deep)), refused('DATA_CORRUPT', /line 1: .*nested too deep/))
    const wide = `[${'[],'.repeat(4 * MIB)}[]]`
    await assert.rejects(read(file('wide.json', wide)), refused('DATA_CORRUPT', /too many values/))
    await assert.rejects(read(file('empty.json', '')), refused('DATA_CORRUPT', /not JSON/))
    await assert.rejects(
      read(file('text.json', '"x"')),
      refused('DATA_CORRUPT', /expected a list of objects/),
    )
    await assert.rejects(read(file('empty.jsonl', '')), refused('INVALID_ARGUMENT', /no rows/))
    await assert.rejects(
      read(file('row.json', '[{"prompt":"a"},7]')),
      refused('DATA_CORRUPT', /row 1: not a row/),
    )
  })
})

describe('CSV from strangers', () => {
  const header = 'prompt,reference\n'

  it('byte order marks and CR LF are passed over; quotes may hold lines', async () => {
    const path = file('x.csv', '\ufeffprompt,reference\r\na,1\r\n\r\n"b\r\nc",2\r\n')
    assert.deepEqual(pairs(await read(path)), [goodPair, ['b\r\nc', '2']])
  })

  it('rows that are none are named, and skipped when asked to', async () => {
    const rows: [string, RegExp][] = [
      ['a,1,2\n', /line 3: a row of another length than the header; expected 2 fields; received 3/],
      ['a\n', /line 3: .*received 1/],
      ['a\0,1\n', /line 3: a NUL byte/],
      ['"a"b,1\n', /line 3: text behind a closing quote/],
      ['a"b,1\n', /line 3: a quote within a field/],
      ['"a,1\nb,2\n', /line \d: a quote that does not close/],
    ]
    for (const [row, message] of rows) {
      const path = file('bad.csv', `${header}a,1\n${row}`)
      await assert.rejects(read(path), refused('DATA_CORRUPT', message), row)
      assert.deepEqual(pairs(await read(path, { onBadRow: 'skip' }))[0], goodPair, row)
    }
    const between = file('between.csv', `${header}a,1\na"b,1\nc,3\n`)
    assert.deepEqual(pairs(await read(between, { onBadRow: 'skip' })), [goodPair, ['c', '3']])
  })

  it('what is no table is refused', async () => {
    const files: [string | Uint8Array, RegExp][] = [
      ['', /no rows/],
      ['prompt,prompt\na,b\n', /line 1: column "prompt" appears twice/],
      [Buffer.from(`\ufeff${header}a,1\n`, 'utf16le'), /not UTF-8/],
      [Buffer.concat([Buffer.from(`${header}a,1\n`), Buffer.of(0xff, 0x0a)]), /not UTF-8/],
      [`${header}"${'a'.repeat(17 * MIB)}`, /a row without an end; expected at most 16 MiB/],
      ['a'.repeat(17 * MIB), /a row without an end/],
    ]
    for (const [content, message] of files) {
      const path = file('none.csv', content)
      await assert.rejects(read(path, { onBadRow: 'skip' }), (error: unknown) => {
        assert.ok(error instanceof CoppiceError, String(error))
        assert.match(error.message, message)
        return true
      })
    }
  })
})

describe('Parquet from strangers', () => {
  const bytes = readFileSync(fixture('math.parquet'))

  it('a file that is cut short is refused, wherever it ends', async () => {
    for (const length of [0, 3, 11, 12, 500, bytes.length - 900, bytes.length - 8, bytes.length - 1]) {
      const path = file('cut.parquet', bytes.subarray(0, length))
      await assert.rejects(
        read(path),
        refused('DATA_CORRUPT', /cut\.parquet, (beginning|end): .*expected a/),
        `${length}`,
      )
    }
    // Cut in the middle, with a footer that still says where everything was.
    const middle = Buffer.concat([bytes.subarray(0, 400), bytes.subarray(1200)])
    await assert.rejects(
      read(file('gap.parquet', middle)),
      refused('DATA_CORRUPT', /gap\.parquet, row group \d/),
    )
  })

  it('damaged bytes are read or refused with a place, never more', async () => {
    let seed = 7
    const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0)
    for (let round = 0; round < 12; round++) {
      const damaged = Buffer.from(bytes)
      for (let i = 0; i < 3; i++) damaged[random() % damaged.length] = [0, 0x7f, 0x80, 0xff][random() % 4]!
      await read(file('damaged.parquet', damaged)).catch((error: unknown) => {
        assert.ok(error instanceof CoppiceError, String(error))
        assert.ok(['DATA_CORRUPT', 'INVALID_ARGUMENT'].includes(error.code), error.message)
      })
    }
  })

  it('a few KB that unfold to gigabytes are refused', async () => {
    const refusals: [string, RegExp][] = [
      ['bomb_page', /row group 0, column 'prompt': a page of \d+ bytes; expected at most 67108864/],
      ['bomb_words', /unfolds to much more than it is/],
      ['bomb_list', /decoding takes too (long|much memory)/],
    ]
    for (const [name, message] of refusals) {
      await assert.rejects(read(fixture(`${name}.parquet`)), refused('DATA_CORRUPT', message), name)
    }
  })
})

describe('verify over hostile files', () => {
  it('ends with exit code 2 and the place, in bounded memory', () => {
    const completion = JSON.stringify({ completion: '1', reference: '1' })
    const inputs: [string, string | Uint8Array, RegExp][] = [
      ['nul.jsonl', `${completion}\n\0\n`, /nul\.jsonl, line 2: not JSON/],
      [
        'long.jsonl',
        Buffer.concat([Buffer.from(`${completion}\n`), Buffer.alloc(100 * MIB, 0x5b)]),
        /line 2: .*16 MiB/,
      ],
      [
        'cut.parquet',
        readFileSync(fixture('math.parquet')).subarray(0, 2000),
        /cut\.parquet, end: the file is cut short/,
      ],
    ]
    for (const [name, content, message] of inputs) {
      const path = file(name, content)
      const run = `
        const { runCommandLine } = await import('./src/cli/run.ts')
        const { verifyVerb } = await import('./src/cli/verify.ts')
        process.exitCode = await runCommandLine(['verify', '--verifier', 'exact', '--in', ${JSON.stringify(path)},
          '--out', ${JSON.stringify(`${path}.out.jsonl`)}], [verifyVerb])
        console.log(process.resourceUsage().maxRSS)`
      const { status, stderr, stdout } = spawnSync(
        process.execPath,
        ['--import', 'tsx', '--input-type=module', '-e', run],
        { cwd: new URL('../..', import.meta.url).pathname, encoding: 'utf8' },
      )
      assert.equal(status, 2, stderr)
      assert.match(stderr, message)
      assert.ok(Number(stdout) < 2 ** 20, `${name}: ${stdout} KiB`)
    }
  })
})
