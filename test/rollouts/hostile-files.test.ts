import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { CoppiceError } from '../../src/errors.ts'
import { jsonlLines } from '../../src/rollouts/jsonl.ts'
import {
  columnsOf,
  concatBatches,
  readTable,
  textColumn,
  tokenColumnsOf,
  writeTable,
} from '../../src/rollouts.ts'
import { contents, sampleBatch } from './sample-batch.ts'

const folder = mkdtempSync(join(tmpdir(), 'coppice-hostile-'))
after(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'x.arrow')
const pyarrow = readFileSync(join(dirname(fileURLToPath(import.meta.url)), 'fixtures', 'pyarrow.arrow'))

let own: Buffer

before(async () => {
  await writeTable(path, [concatBatches([sampleBatch(0), sampleBatch(1)])])
  own = readFileSync(path)
})

/** Reads bytes as a file and looks at everything in it; anything but a coded error is a fault. */
async function outcome(bytes: Uint8Array): Promise<string> {
  writeFileSync(path, bytes)
  try {
    const batch = await readTable(path)
    for (const line of jsonlLines(batch)) JSON.parse(line)
    columnsOf(batch)
    return 'read'
  } catch (error) {
    if (error instanceof CoppiceError) return error.code
    throw error
  }
}

function* randomNumbers(seed: number): Generator<number, never> {
  for (;;) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    yield seed
  }
}

describe('damaged Arrow files', () => {
  it('are read or refused with a code, wherever a byte is wrong', async () => {
    const seen = new Map<string, number>()
    for (const file of [own, pyarrow]) {
      const random = randomNumbers(file.length)
      for (let round = 0; round < 600; round++) {
        const bytes = Buffer.from(file)
        const changes = 1 + (random.next().value % 3)
        for (let i = 0; i < changes; i++) {
          const place = random.next().value % bytes.length
          const value = [0, 1, 0x7f, 0x80, 0xff, random.next().value & 0xff][random.next().value % 6]!
          bytes[place] = value
        }
        const result = await outcome(bytes)
        seen.set(result, (seen.get(result) ?? 0) + 1)
      }
    }
    for (const code of seen.keys()) {
      assert.ok(['read', 'DATA_CORRUPT', 'INVALID_ARGUMENT', 'SHAPE_MISMATCH'].includes(code), code)
    }
    assert.ok(seen.get('read')! > 50 && seen.get('DATA_CORRUPT')! > 50, JSON.stringify([...seen]))
  })

  it('are refused wherever they end too early', async () => {
    for (let length = 0; length < own.length; length += 61) {
      assert.equal(await outcome(own.subarray(0, length)), 'DATA_CORRUPT', `${length} bytes`)
    }
  })

  it('are refused when words of 32 bits in their metadata grow beyond all bounds', async () => {
    const footerBytes = own.readInt32LE(own.length - 10)
    const begin = own.length - 10 - footerBytes
    for (let place = begin; place + 4 <= own.length - 10; place += 4) {
      for (const value of [-1, 0x7fffffff, -0x80000000, 0x10000000]) {
        const bytes = Buffer.from(own)
        bytes.writeInt32LE(value, place)
        await outcome(bytes)
      }
    }
  })

  it('name the file and the fault', async () => {
    const bytes = Buffer.from(own)
    bytes.writeInt32LE(1 << 30, own.length - 10)
    writeFileSync(path, bytes)
    await assert.rejects(readTable(path), /x\.arrow: not an Arrow file: a footer of 1073741824 bytes/)
    writeFileSync(path, 'nothing of the kind, only text')
    await assert.rejects(readTable(path), /x\.arrow: not an Arrow file: it does not begin with ARROW1/)
  })
})

describe('unaligned Arrow files', () => {
  it('are read: a buffer at an odd place is copied to an even one', async () => {
    const expected = contents(concatBatches([sampleBatch(0), sampleBatch(1)]))
    writeFileSync(path, own)
    const aligned = await readTable(path)
    assert.deepEqual(contents(aligned), expected)
    const moved = moveFirstOffsets(own)
    writeFileSync(path, moved)
    const read = await readTable(path)
    assert.deepEqual(contents(read), expected)
    assert.deepEqual(textColumn(read, 'prompt_id'), ['p0', 'p0', 'p1', 'p1'])
    assert.deepEqual(tokenColumnsOf(read).promptTokens, tokenColumnsOf(aligned).promptTokens)
  })
})

/**
 * Shifts the offsets of the first column (20 bytes in a buffer of 24) by one byte within its padding, and its place in the
 * metadata with it: a sound file whose int32 buffer is not aligned.
 */
function moveFirstOffsets(file: Buffer): Buffer {
  const bytes = Buffer.from(file)
  const wanted = Buffer.alloc(20)
  ;[0, 2, 4, 6, 8].forEach((offset, i) => {
    wanted.writeInt32LE(offset, 4 * i)
  })
  const place = bytes.indexOf(wanted)
  assert.ok(place > 0)
  bytes.copyWithin(place + 1, place, place + 20)
  bytes[place] = 0
  // The offsets' Buffer { offset: 0, length: 24 with padding } comes second, after that of a validity that is left out.
  const entry = Buffer.alloc(32)
  entry.writeBigInt64LE(24n, 24)
  const metadata = bytes.lastIndexOf(entry, place)
  assert.ok(metadata > 0 && metadata < place)
  bytes.writeBigInt64LE(1n, metadata + 16)
  return bytes
}

describe('damaged JSONL files', () => {
  const cases: [string, RegExp][] = [
    ['{"prompt_id":"a"', /line 1: not JSON/],
    ['[1]', /line 1: not a row/],
    [
      '{"prompt_tokens":[1]}\n{"prompt_tokens":[1.5]}',
      /line 2, 'prompt_tokens'.*expected a list of Int32 numbers/,
    ],
    ['{"prompt_tokens":[2147483648]}', /line 1, 'prompt_tokens'/],
    ['{"prompt_tokens":null}', /line 1, 'prompt_tokens'/],
    ['{"reward":"1"}', /line 1, 'reward'.*expected numbers or null; received "1"/],
    ['{"verdict":"great"}', /one of right, wrong, unparsed, timed-out/],
    ['{"seed":-1}', /line 1, 'seed'/],
    ['{"seed":"18446744073709551616"}', /line 1, 'seed'/],
    ['{"group_id":null}', /line 1, 'group_id'/],
    ['{"prompt":7}', /line 1, 'prompt'.*expected a string/],
  ]
  for (const [text, message] of cases) {
    it(`are refused: ${text.split('\n').at(-1)}`, async () => {
      const jsonl = join(folder, 'x.jsonl')
      writeFileSync(jsonl, text)
      await assert.rejects(readTable(jsonl), (error: CoppiceError) => {
        assert.ok(error instanceof CoppiceError, String(error))
        assert.match(error.message, message)
        return true
      })
    })
  }
})
