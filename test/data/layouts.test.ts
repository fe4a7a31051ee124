import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { refused } from '../refused.ts'
import { fixture, jsonl, pairs, read, temporaryFiles } from './files.ts'

const file = temporaryFiles()
const sums = Array.from({ length: 10 }, (_, i) => [`What is ${i} + ${i}?`, String(2 * i)])

describe('layouts that map by themselves', () => {
  it('MATH: the reference is the last box of the solution', async () => {
    const rows = await read(fixture('math.parquet'))
    assert.deepEqual(
      pairs(rows),
      sums.map(([prompt, answer]) => [prompt, `\\frac{${answer}}{1}`]),
    )
    assert.deepEqual(
      rows.map(({ promptId }) => promptId),
      sums.map((_, i) => String(i)),
    )
    const json = file(
      'math.json',
      JSON.stringify({ problem: 'p', solution: 'so \\boxed 7 or \\boxed{\\{1\\}}' }),
    )
    assert.deepEqual(pairs(await read(json)), [['p', '\\{1\\}']])
    const none = file('none.jsonl', jsonl({ problem: 'p', solution: 'so \\boxed{7' }))
    await assert.rejects(read(none), refused('DATA_CORRUPT', /none\.jsonl, line 1: .*boxed/))
  })

  it('MATH-500: an answer goes before the solution, unique_id is the id', async () => {
    const path = file(
      'm500.jsonl',
      jsonl({ problem: 'p', solution: '\\boxed{1}', answer: '2', unique_id: 'u' }),
    )
    const [row] = await read(path)
    assert.deepEqual([row!.promptId, row!.reference], ['u', '2'])
  })

  it('GSM8K: the reference stands behind ####', async () => {
    assert.deepEqual(pairs(await read(fixture('gsm8k.parquet'))), sums)
    const path = file(
      'gsm.jsonl',
      jsonl({ question: 'q', answer: '17' }, { question: 'q', answer: 'so\nit is 17' }),
    )
    await assert.rejects(read(path), refused('DATA_CORRUPT', /line 2: an answer without ####/))
  })

  it('AIME, AMC, DeepScaleR: answers as numbers or text, names in any case', async () => {
    const aime = await read(fixture('aime.parquet'))
    assert.deepEqual(pairs(aime), sums)
    assert.equal(aime[3]!.promptId, '2024-I-3')
    assert.deepEqual(pairs(await read(fixture('amc.parquet'))), sums)
    const path = file('d.json', JSON.stringify([{ problem: 'p', answer: '\\frac12', solution: 's' }]))
    assert.deepEqual(pairs(await read(path)), [['p', '\\frac12']])
  })

  it('DAPO-Math: a list of messages, and the reference in a struct', async () => {
    const rows = await read(fixture('dapo.parquet'))
    assert.deepEqual(pairs(rows), sums)
    assert.deepEqual(rows[1]!.messages, [{ role: 'user', content: 'What is 1 + 1?' }])
  })

  it('our own, with the tokens of the file', async () => {
    const rows = await read(fixture('own.parquet'))
    assert.deepEqual(pairs(rows), [
      ['a', '1'],
      ['b', '2'],
      ['', '3'],
      ['d', '4'],
    ])
    assert.deepEqual([...rows[3]!.promptTokens], [5, 6, 7])
    assert.equal(rows[3]!.promptId, 'p3')
  })

  it('what no layout fits is refused with the columns and what would fit', async () => {
    const path = file('odd.csv', 'text,gold\na,b\n')
    await assert.rejects(
      read(path),
      refused('INVALID_ARGUMENT', /no prompts; expected .*GSM8K.*columns text, gold/),
    )
  })
})

describe('columns by name', () => {
  it('take the place of those of the layout', async () => {
    const row = { q: 'Q', a: { b: ['5'] }, problem: 'P', answer: '6', key: 9 }
    const path = file('named.jsonl', jsonl(row))
    const options = { promptColumn: 'q', referenceColumn: 'a.b', idColumn: 'key' }
    const [read1] = await read(path, options)
    assert.deepEqual([read1!.prompt, read1!.reference, read1!.promptId], ['Q', '5', '9'])
    assert.deepEqual(pairs(await read(path, { promptColumn: 'q' })), [['Q', '6']])
  })

  it('leave the reference to be found by its name', async () => {
    const path = file('alone.jsonl', jsonl({ q: 'Q', answer: '#### 6', id: 'i' }))
    const [row] = await read(path, { promptColumn: 'q' })
    assert.deepEqual([row!.reference, row!.promptId], ['6', 'i'])
  })

  it('are refused where the file lacks them, with the nearest', async () => {
    const path = file('near.csv', 'problem,answer\na,b\n')
    await assert.rejects(
      read(path, { promptColumn: 'problems' }),
      refused('INVALID_ARGUMENT', /no column 'problems'.*did you mean 'problem'/),
    )
    await assert.rejects(
      read(fixture('aime.parquet'), { referenceColumn: 'x.y' }),
      refused('INVALID_ARGUMENT', /no column 'x.y'/),
    )
    await assert.rejects(read(path, { promptcolumn: 'a' }), refused('INVALID_ARGUMENT', /promptColumn/))
  })
})

describe('chat messages', () => {
  const chat = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'One?' },
    { role: 'assistant', content: 'Two.' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Three' },
        { type: 'text', text: '?' },
      ],
    },
    { role: 'assistant', content: 'the answer' },
  ]
  const prompt = [...chat.slice(0, 3), { role: 'user', content: 'Three?' }]

  it('render as what the user says; the messages stay on the row, without the answer', async () => {
    const [row] = await read(file('chat.jsonl', jsonl({ messages: chat, answer: 4 })))
    assert.deepEqual([row!.prompt, row!.reference], ['One?\n\nThree?', '4'])
    assert.deepEqual(row!.messages, prompt)
  })

  it('may be JSON text in a column that is named for it', async () => {
    const path = file('chat.csv', `chat,a\n"${JSON.stringify(chat).replaceAll('"', '""')}",1\n`)
    const [row] = await read(path, { messagesColumn: 'chat', referenceColumn: 'a' })
    assert.deepEqual(row!.messages, prompt)
    const [text] = await read(path, { promptColumn: 'chat' })
    assert.deepEqual([text!.prompt, text!.messages], [JSON.stringify(chat), undefined])
  })

  it('that are none make a bad row', async () => {
    for (const messages of [
      [{ role: 'user' }],
      [{ content: 'x' }],
      [null],
      [{ role: 'system', content: 's' }],
      7,
    ]) {
      await assert.rejects(
        read(file('bad.jsonl', jsonl({ messages }))),
        refused('DATA_CORRUPT', /bad\.jsonl, line 1: .*messages/),
      )
    }
  })
})
