import assert from 'node:assert/strict'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSafetensorsFile, readSafetensorsHeader } from '../../src/checkpoint/safetensors.ts'
import { withFolder, writeRaw, writeTensors } from './files.ts'

const entry = (dtype: string, shape: string, offsets: string) =>
  `{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`
const a = (shape: string, offsets: string) => `{"a":${entry('"F32"', shape, offsets)}}`

test('a written header is read back, bodies aligned to 8 bytes and zero', () =>
  withFolder((folder) => {
    const path = join(folder, 'x.safetensors')
    const { offsets } = createSafetensorsFile(
      path,
      [
        { name: 'b', shape: [3, 5], dtype: 'F32' },
        { name: 'a', shape: [7], dtype: 'BF16' },
        { name: '__proto__', shape: [], dtype: 'F32' },
        { name: 'empty', shape: [0, 4], dtype: 'F32' },
      ],
      { step: '3' },
    )
    const { tensors, metadata } = readSafetensorsHeader(path)
    assert.deepEqual([...tensors.keys()].sort(), ['__proto__', 'a', 'b', 'empty'])
    assert.deepEqual(tensors.get('b'), {
      name: 'b',
      dtype: 'F32',
      shape: [3, 5],
      offset: offsets[0],
      bytes: 60,
    })
    assert.deepEqual(tensors.get('a'), {
      name: 'a',
      dtype: 'BF16',
      shape: [7],
      offset: offsets[1],
      bytes: 14,
    })
    assert.equal(tensors.get('__proto__')?.bytes, 4)
    assert.equal(offsets[0]! % 8, 0)
    assert.deepEqual(
      [...metadata],
      [
        ['format', 'pt'],
        ['step', '3'],
      ],
    )
    assert.throws(() => createSafetensorsFile(path, []), { code: 'EEXIST' })
  }))

// What is wrong -> a file that has just this fault. Each message must name the fault.
const hostile: [string, RegExp, (path: string) => void][] = [
  ['no bytes', /too short/, (path) => writeFileSync(path, '')],
  ['only a length', /too short|header/, (path) => writeFileSync(path, Buffer.alloc(7))],
  ['a header longer than the file', /longer than the file/, (path) => writeRaw(path, '{}', 0, 1000n)],
  ['a length of 2^64 - 1', /longer than the file/, (path) => writeRaw(path, '{}', 0, 2n ** 64n - 1n)],
  ['an empty header', /does not begin/, (path) => writeRaw(path, '', 8)],
  ['a header that is no JSON', /not valid JSON/, (path) => writeRaw(path, '{"a":', 0)],
  ['a header that is an array', /does not begin/, (path) => writeRaw(path, '[]', 0)],
  ['bytes that are not UTF-8', /not valid JSON/, (path) => writeFileSync(path, badUtf8())],
  ['duplicate names', /key "a" occurs twice/, (path) => writeRaw(path, doubled('"a"', '"a"'), 8)],
  [
    'duplicate names in disguise',
    /key "a" occurs twice/,
    (path) => writeRaw(path, doubled('"a"', '"\\u0061"'), 8),
  ],
  [
    'a duplicate dtype',
    /key "dtype" occurs twice/,
    (path) => writeRaw(path, a('[1]', '[0,4],"dtype":"F32"'), 4),
  ],
  ['a truncated body', /tensor "a".*behind the end/, (path) => writeRaw(path, a('[4]', '[0,16]'), 15)],
  ['bytes too many', /belong to no tensor/, (path) => writeRaw(path, a('[4]', '[0,16]'), 17)],
  ['a hole at the start', /tensor "a".*hole/, (path) => writeRaw(path, a('[1]', '[4,8]'), 8)],
  ['an overlap', /tensor "b".*overlaps/, (path) => writeRaw(path, pair('[0,8]', '[4,12]'), 12)],
  ['two names for one body', /overlaps/, (path) => writeRaw(path, pair('[0,8]', '[0,8]'), 8)],
  ['a hole in the middle', /tensor "b".*hole/, (path) => writeRaw(path, pair('[0,8]', '[12,20]'), 20)],
  [
    'a size that does not fit',
    /tensor "a".*size does not fit/,
    (path) => writeRaw(path, a('[5]', '[0,16]'), 16),
  ],
  ['a shape whose product overflows', /size does not fit/, (path) => writeRaw(path, a(HUGE, '[0,0]'), 0)],
  ['a negative size', /tensor "a".*bad shape/, (path) => writeRaw(path, a('[-4]', '[0,16]'), 16)],
  ['two negative sizes', /bad shape/, (path) => writeRaw(path, a('[-2,-2]', '[0,16]'), 16)],
  ['a fractional size', /bad shape/, (path) => writeRaw(path, a('[1.5]', '[0,6]'), 6)],
  ['an infinite size', /bad shape/, (path) => writeRaw(path, a('[1e999]', '[0,16]'), 16)],
  ['a size beyond 2^53', /bad shape/, (path) => writeRaw(path, a('[9007199254740993]', '[0,16]'), 16)],
  ['a size that is null', /bad shape/, (path) => writeRaw(path, a('[null]', '[0,16]'), 16)],
  ['a size that is a string', /bad shape/, (path) => writeRaw(path, a('["4"]', '[0,16]'), 16)],
  ['a shape that is a number', /bad shape/, (path) => writeRaw(path, a('4', '[0,16]'), 16)],
  ['NaN as a size', /not valid JSON/, (path) => writeRaw(path, a('[NaN]', '[0,16]'), 16)],
  [
    'an offset pair the wrong way round',
    /bad data_offsets/,
    (path) => writeRaw(path, a('[4]', '[16,0]'), 16),
  ],
  ['one offset', /bad data_offsets/, (path) => writeRaw(path, a('[4]', '[16]'), 16)],
  ['a negative offset', /bad data_offsets/, (path) => writeRaw(path, a('[4]', '[-16,0]'), 16)],
  ['offsets far beyond the file', /behind the end/, (path) => writeRaw(path, a('[4]', '[9e15,9e15]'), 16)],
  [
    'an unknown dtype',
    /unknown dtype/,
    (path) => writeRaw(path, `{"a":${entry('"F31"', '[4]', '[0,16]')}}`, 16),
  ],
  [
    'a dtype of the prototype',
    /unknown dtype/,
    (path) => writeRaw(path, `{"a":${entry('"constructor"', '[4]', '[0,16]')}}`, 16),
  ],
  [
    'a dtype that is no string',
    /unknown dtype/,
    (path) => writeRaw(path, `{"a":${entry('4', '[4]', '[0,16]')}}`, 16),
  ],
  ['a description that is no object', /not an object/, (path) => writeRaw(path, '{"a":[1]}', 0)],
  ['a description without fields', /unknown dtype/, (path) => writeRaw(path, '{"a":{}}', 0)],
  ['a strange field', /unknown key "extra"/, (path) => writeRaw(path, a('[1]', '[0,4],"extra":1'), 4)],
  [
    '__proto__ that is no tensor',
    /"__proto__".*not an object/,
    (path) => writeRaw(path, '{"__proto__":4}', 0),
  ],
  ['metadata that is no object', /__metadata__ is not/, (path) => writeRaw(path, '{"__metadata__":"x"}', 0)],
  ['metadata of numbers', /__metadata__ key "n"/, (path) => writeRaw(path, '{"__metadata__":{"n":1}}', 0)],
  ['a folder', /not a regular file/, (path) => mkdirSync(path)],
  ['nothing', /does not exist/, () => {}],
]
const HUGE = '[4294967296,4294967296,4294967296]'

function doubled(first: string, second: string): string {
  return `{${first}:${entry('"F32"', '[1]', '[0,4]')},${second}:${entry('"F32"', '[1]', '[4,8]')}}`
}
function pair(first: string, second: string): string {
  return `{"a":${entry('"F32"', '[2]', first)},"b":${entry('"F32"', '[2]', second)}}`
}
function badUtf8(): Buffer {
  const header = Buffer.from('{"\xff":1}', 'latin1')
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([prefix, header])
}

for (const [fault, message, write] of hostile) {
  test(`a safetensors file with ${fault} is refused by name`, () =>
    withFolder((folder) => {
      const path = join(folder, 'bad.safetensors')
      write(path)
      assert.throws(
        () => readSafetensorsHeader(path),
        (error: Error & { code: string }) => {
          assert.equal(error.code, 'CHECKPOINT_CORRUPT', error.message)
          assert.match(error.message, message)
          assert.ok(error.message.startsWith(path), error.message)
          assert.ok(error.message.length < 1000 + path.length, 'a message must stay readable')
          return true
        },
      )
    }))
}

test('a file cut anywhere, or with any one header byte changed, is read whole or refused with a code', () =>
  withFolder((folder) => {
    const path = join(folder, 'x.safetensors')
    const tensors = { a: { shape: [2, 3] }, b: { shape: [4], dtype: 'BF16' } }
    writeTensors(path, tensors)
    const { bytes } = [...readSafetensorsHeader(path).tensors.values()].at(-1)!
    const whole = 8 + Number(readLength(path)) + 24 + bytes
    for (let length = 0; length < whole; length++) {
      writeTensors(path, tensors)
      truncateSync(path, length)
      assert.throws(() => readSafetensorsHeader(path), { code: 'CHECKPOINT_CORRUPT' }, `cut at ${length}`)
    }
    const header = '{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
    for (let i = 0; i < header.length; i++) {
      for (const byte of ['"', '{', '}', '9', '-', '\\', 'e', '\0']) {
        writeRaw(path, header.slice(0, i) + byte + header.slice(i + 1), 24)
        try {
          readSafetensorsHeader(path)
        } catch (error) {
          assert.equal(
            (error as { code?: string }).code,
            'CHECKPOINT_CORRUPT',
            `byte ${i} -> ${byte}: ${error}`,
          )
        }
      }
    }
  }))

function readLength(path: string): bigint {
  return BigInt(
    [...readSafetensorsHeader(path).tensors.values()].reduce((least, t) => Math.min(least, t.offset), 1e9) -
      8,
  )
}

test('empty tensors and scalars are tensors', () =>
  withFolder((folder) => {
    const path = writeTensors(join(folder, 'x.safetensors'), {
      e: { shape: [0, 9] },
      s: { shape: [] },
      f: { shape: [0] },
    })
    const { tensors } = readSafetensorsHeader(path)
    assert.deepEqual([...tensors.values()].map(({ name, bytes }) => [name, bytes]).sort(), [
      ['e', 0],
      ['f', 0],
      ['s', 4],
    ])
  }))

test('the time of a header grows with its length, not with its square, and depth does not overflow the stack', () =>
  withFolder((folder) => {
    const fastestOf = (tensors: number) => {
      const many = Object.fromEntries(Array.from({ length: tensors }, (_, i) => [`t${i}`, { shape: [2] }]))
      const path = writeTensors(join(folder, `x${tensors}`), many)
      const times = Array.from({ length: 5 }, () => {
        const started = performance.now()
        assert.equal(readSafetensorsHeader(path).tensors.size, tensors)
        return performance.now() - started
      })
      return Math.min(...times)
    }
    // Ten times the tensors; a quadratic reader would need a hundred times as long.
    assert.ok(fastestOf(20_000) < 50 * fastestOf(2000))
    const deep = `{"a":${'['.repeat(500_000)}${']'.repeat(500_000)}}`
    assert.throws(() => readSafetensorsHeader(writeRaw(join(folder, 'y'), deep, 0)), {
      code: 'CHECKPOINT_CORRUPT',
    })
    const deepShape = a(`${'['.repeat(500_000)}${']'.repeat(500_000)}`, '[0,4]')
    assert.throws(() => readSafetensorsHeader(writeRaw(join(folder, 'w'), deepShape, 4)), {
      code: 'CHECKPOINT_CORRUPT',
    })
    const long = `{"${'x'.repeat(20_000_000)}":1}`
    assert.throws(() => readSafetensorsHeader(writeRaw(join(folder, 'z'), long, 0)), {
      code: 'CHECKPOINT_CORRUPT',
    })
  }))
