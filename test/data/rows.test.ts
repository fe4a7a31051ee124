import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ShuffledRows, type SkippedRows, shuffledOrder, skippedText } from '../../src/data.ts'
import { refused } from '../refused.ts'
import { fixture, jsonl, pairs, read, temporaryFiles } from './files.ts'

const file = temporaryFiles()

describe('filters', () => {
  const path = file(
    'f.jsonl',
    jsonl({ prompt: 'a', level: 3 }, { prompt: 'b', level: 4, x: { y: 'z=1' } }, { prompt: 'c' }),
  )
  const found = async (...filters: string[]) => (await read(path, { filters })).map(({ prompt }) => prompt)

  it('compare values as text, and all have to hold', async () => {
    assert.deepEqual(await found('level=3'), ['a'])
    assert.deepEqual(await found('level!=3'), ['b', 'c'])
    assert.deepEqual(await found('level!=3', 'x.y=z=1'), ['b'])
    assert.deepEqual((await read(fixture('math.parquet'), { filters: ['level=Level 2'] })).length, 2)
  })

  it('keep the ids that rows have without them', async () => {
    const [row] = await read(path, { filters: ['level=4'] })
    assert.equal(row!.promptId, '1')
  })

  it('are refused where nothing passes, the column is missing, or they are none', async () => {
    await assert.rejects(
      found('level=9'),
      refused('INVALID_ARGUMENT', /no row passes the filters; received 3 rows/),
    )
    await assert.rejects(
      read(fixture('math.parquet'), { filters: ['levl=1'] }),
      refused('INVALID_ARGUMENT', /did you mean 'level'/),
    )
    for (const filter of ['level', '=3', '!=3']) {
      await assert.rejects(found(filter), refused('INVALID_ARGUMENT', /'column=value'/))
    }
  })
})

describe('bad rows', () => {
  const path = file(
    'bad.jsonl',
    [
      '{"prompt":"a","reference":"1"}',
      '{"prompt":',
      '',
      '[1]',
      '{"prompt":"","reference":"1"}',
      '{"prompt":"b"}',
      '{"prompt":"c","reference":"1"}',
    ].join('\n'),
  )

  it('stop by default, naming file, line and expectation', async () => {
    await assert.rejects(read(path), refused('DATA_CORRUPT', /bad\.jsonl, line 2: not JSON/))
  })

  it('are skipped and counted when asked to', async () => {
    const heard: SkippedRows[] = []
    const found = await read(path, {
      onBadRow: 'skip',
      onSkipped: (skipped: SkippedRows) => heard.push(skipped),
    })
    assert.deepEqual(
      found.map(({ promptId, prompt }) => [promptId, prompt]),
      [
        ['0', 'a'],
        ['5', 'c'],
      ],
    )
    assert.equal(heard.length, 1)
    assert.equal(heard[0]!.count, 4)
    const text = skippedText(heard[0]!)
    assert.match(
      text,
      /4 bad rows skipped \(line 2: not JSON.*; line 4: not a row.*; line 5: an empty prompt/,
    )
  })

  it('that are all there is are refused', async () => {
    const none = file('none.jsonl', '{\n}\n')
    await assert.rejects(
      read(none, { onBadRow: 'skip' }),
      refused('DATA_CORRUPT', /no row can be used.*2 bad rows/),
    )
    await assert.rejects(read(none, { onBadRow: 'ignore' }), refused('INVALID_ARGUMENT', /stop, skip/))
  })

  it('are rows with other columns than the first: no reference is ever lost in silence', async () => {
    const mixed = file('mixed.jsonl', jsonl({ prompt: 'a' }, { prompt: 'b', reference: '2' }))
    await assert.rejects(read(mixed), refused('DATA_CORRUPT', /line 2: other columns than the first row/))
  })
})

describe('limit and shuffle', () => {
  const path = file('many.jsonl', jsonl(...Array.from({ length: 50 }, (_, i) => ({ prompt: `p${i}` }))))
  const ids = async (options: object) => (await read(path, options)).map(({ promptId }) => Number(promptId))

  it('a limit takes the first rows, behind the shuffle', async () => {
    assert.deepEqual(await ids({ limit: 3 }), [0, 1, 2])
    const shuffled = await ids({ shuffleSeed: 1 })
    assert.deepEqual(await ids({ shuffleSeed: 1, limit: 3 }), shuffled.slice(0, 3))
  })

  it('a shuffle is a function of the seed', async () => {
    const shuffled = await ids({ shuffleSeed: 1 })
    assert.deepEqual(shuffled, shuffledOrder(50, 1))
    assert.deepEqual(
      [...shuffled].sort((a, b) => a - b),
      Array.from({ length: 50 }, (_, i) => i),
    )
    assert.notDeepEqual(shuffled, await ids({ shuffleSeed: 2 }))
    assert.deepEqual(shuffledOrder(8, 3, 0), [4, 7, 5, 2, 3, 6, 0, 1])
  })

  it('a cursor in the middle of an epoch goes on in the same order', () => {
    const whole = new ShuffledRows(7, 5)
    const expected = whole.take(40)
    for (const cut of [0, 1, 6, 7, 8, 14, 23]) {
      const first = new ShuffledRows(7, 5)
      const before = first.take(cut)
      const resumed = ShuffledRows.resume(JSON.parse(JSON.stringify(first.cursor)), 7)
      assert.deepEqual([...before, ...resumed.take(40 - cut)], expected, `cut at ${cut}`)
      assert.deepEqual(resumed.cursor, whole.cursor)
    }
    for (let epoch = 0; epoch < 5; epoch++) {
      const order = expected.slice(7 * epoch, 7 * epoch + 7)
      assert.deepEqual(order, shuffledOrder(7, 5, epoch))
    }
  })

  it('a cursor that is none, or of another data set, is refused', () => {
    const { cursor } = new ShuffledRows(7, 5)
    assert.throws(() => ShuffledRows.resume(cursor, 8), refused('INVALID_ARGUMENT', /another data set/))
    for (const damage of [{ position: 8 }, { epoch: -1 }, { seed: 0.5 }, { rows: null }]) {
      assert.throws(
        () => ShuffledRows.resume({ ...cursor, ...damage } as never, 7),
        refused('DATA_CORRUPT', /not a cursor/),
      )
    }
  })

  it('pairs stay pairs', async () => {
    const sums = await read(fixture('aime.parquet'), { shuffleSeed: 4 })
    for (const [prompt, reference] of pairs(sums)) {
      assert.equal(Number(/is (\d+)/.exec(prompt!)![1]) * 2, Number(reference))
    }
  })
})
