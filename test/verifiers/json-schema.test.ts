import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import type { Verdict } from '../../src/verdicts.ts'
import { compileSchema } from '../../src/verifiers/json/compile-schema.ts'
import { findJson, type JsonPlace } from '../../src/verifiers/json/find-json.ts'
import { verifyAll } from '../../src/verify.ts'
import { sampleOf } from './verdict-table.ts'

const dir = await mkdtemp(join(tmpdir(), 'coppice-schema-'))
after(() => rm(dir, { recursive: true }))

const person = JSON.stringify({
  type: 'object',
  required: ['name', 'age'],
  properties: { name: { type: 'string' }, age: { type: 'integer', minimum: 0 } },
  additionalProperties: false,
})
const FENCE = '```'
const block = (text: string, label = 'json') => `${FENCE}${label}\n${text}\n${FENCE}`

describe('the JSON of a completion', () => {
  const jsonOf = (text: string, place: JsonPlace = 'fenced') => {
    const found = findJson(text, place)
    return 'fault' in found ? found.fault : found.value
  }

  it('is the last fenced block, else the whole text', () => {
    assert.deepEqual(jsonOf(' {"a": 1}\n'), { a: 1 })
    assert.deepEqual(jsonOf('[1]'), [1])
    assert.equal(jsonOf('42'), 42)
    assert.deepEqual(jsonOf(`Here:\n${block('[1]')}\nor rather\n${block('[2]', 'JSON')}\nDone.`), [2])
    assert.deepEqual(jsonOf(`${block('x = 1', 'python')}\n${block('[2]')}`), [2])
    assert.deepEqual(jsonOf(block('{"text": "a ``` b"}')), { text: 'a ``` b' })
    assert.deepEqual(jsonOf(`<think>${block('[1]')}</think>[3]`), [3])
    assert.deepEqual(jsonOf('<think>hm</think><answer>{"a": []}</answer>'), { a: [] })
    assert.deepEqual(jsonOf(block('[1]').replaceAll('\n', '\r\n')), [1])
    assert.match(String(jsonOf(`${FENCE}json\n[1]`)), /does not close/)
    assert.match(String(jsonOf(block('[1,]'))), /not JSON/)
    assert.match(String(jsonOf('So it is [1]')), /not JSON/)
    assert.match(String(jsonOf(block('[1]', ''))), /not JSON/)
    assert.match(String(jsonOf('')), /not JSON/)
  })

  it('may be the whole text alone, or anywhere', () => {
    assert.match(String(jsonOf(block('[1]'), 'whole')), /not JSON/)
    assert.deepEqual(jsonOf('{"a": {"b": "}"}} or \\frac{1}{2} [see below]', 'anywhere'), { a: { b: '}' } })
    assert.deepEqual(jsonOf('first [1], then {"b": [2, {"c": 3}]}.', 'anywhere'), { b: [2, { c: 3 }] })
    assert.deepEqual(jsonOf('[1, 2) and [3, 4)\n[{"a": "x\\"]"}] [5', 'anywhere'), [{ a: 'x"]' }])
    assert.deepEqual(jsonOf(`${block('[1]')}\n[2]`, 'anywhere'), [1])
    assert.match(String(jsonOf('no json { here', 'anywhere')), /not JSON/)
  })

  it('is bounded in length, depth and number of values before it is parsed', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    assert.ok(Array.isArray(jsonOf(nested(64))))
    assert.match(String(jsonOf(nested(65))), /too deep: at most 64/)
    assert.match(String(jsonOf(`[${'1,'.repeat(200_001)}1]`)), /too many values/)
    assert.match(String(jsonOf(' '.repeat(1_000_001))), /longer than/)
    assert.deepEqual(jsonOf('[[]'.repeat(300_000), 'anywhere'), [])
    for (const hostile of [
      '['.repeat(1_000_000),
      '{"a":'.repeat(200_000),
      '[""'.repeat(300_000),
      `["${'{'.repeat(900_000)}`,
      '[1,"[",'.repeat(140_000),
      '`'.repeat(1_000_000),
      `${FENCE}json\n`.repeat(90_000),
      `${'`'.repeat(500_000)}${'x'.repeat(400_000)}`,
      `${FENCE}${' '.repeat(900_000)}x`,
    ]) {
      assert.equal(typeof jsonOf(hostile, 'anywhere'), 'string', hostile.slice(0, 20))
    }
  })
})

describe('a schema', () => {
  const faultOf = (schema: unknown, value: unknown): string | undefined => {
    const compiled = compileSchema(typeof schema === 'string' ? schema : JSON.stringify(schema))
    return 'fault' in compiled ? `no schema: ${compiled.fault}` : compiled.validate(value)
  }

  it('is one of the dialects that it names, the newest where it names none', () => {
    const tuple = { prefixItems: [{ type: 'integer' }], items: false }
    assert.equal(faultOf(tuple, [1]), undefined)
    assert.equal(
      faultOf({ $schema: 'https://json-schema.org/draft/2020-12/schema', ...tuple }, [1]),
      undefined,
    )
    assert.match(faultOf(tuple, [1, 2])!, /must NOT have more than 1 items/)
    const older = { $schema: 'http://json-schema.org/draft-07/schema#', items: [{ type: 'integer' }] }
    assert.match(faultOf(older, ['a'])!, /\/0 must be integer/)
    const middle = { $schema: 'https://json-schema.org/draft/2019-09/schema', unevaluatedProperties: false }
    assert.match(faultOf(middle, { a: 1 })!, /unevaluated/)
    assert.match(faultOf({ $schema: 'http://json-schema.org/draft-04/schema#' }, 1)!, /is not known/)
    assert.match(faultOf({ $schema: 'file:///etc/passwd' }, 1)!, /is not known/)
    assert.match(faultOf({ items: [{ type: 'integer' }] }, ['a'])!, /no schema/)
  })

  it('is refused where it is none, or leads elsewhere', () => {
    for (const bad of [
      '',
      'person',
      '[]',
      'true',
      '{"type": "strng"}',
      '{"type": 7}',
      '{"pattern": "("}',
      '{"multipleOf": 0}',
      '{"$async": true}',
      '{"properties": {"a": {"$ref": "#/definitions/none"}}}',
      '{"$ref": "https://example.org/schema.json"}',
      '{"$ref": "http://json-schema.org/draft-07/schema#"}',
      '{"$ref": "file:///etc/passwd"}',
      `${'{"not": '.repeat(70)}{}${'}'.repeat(70)}`,
      `{"description": "${'x'.repeat(300_000)}"}`,
    ]) {
      assert.match(String(faultOf(bad, {})), /^no schema: /, bad.slice(0, 60))
    }
  })

  it('may use what names itself, and unknown keywords and formats are annotations', () => {
    const tree = {
      $id: 'https://example.org/tree',
      type: 'object',
      properties: {
        children: { type: 'array', items: { $ref: 'https://example.org/tree' } },
        v: { $ref: '#/$defs/v' },
      },
      $defs: { v: { type: 'number', format: 'odd', examples: [1], 'x-note': { deep: true } } },
    }
    assert.equal(faultOf(tree, { children: [{ v: 1, children: [] }] }), undefined)
    // A second schema of the same name is another one.
    assert.match(faultOf({ ...tree, maxProperties: 0 }, { v: 1 })!, /must NOT have more than 0 properties/)
    assert.match(faultOf(tree, { children: [{ v: 'a' }] })!, /\/children\/0\/v must be number/)
    assert.throws(() => faultOf({ $ref: '#' }, 1), RangeError)
  })

  it('takes keys for what they are', () => {
    const closed = { type: 'object', additionalProperties: false, properties: { a: {} } }
    assert.match(faultOf(closed, JSON.parse('{"__proto__": 1}'))!, /additional properties/)
    assert.match(faultOf({ required: ['toString'] }, {})!, /required property/)
    assert.equal(faultOf({ properties: JSON.parse('{"__proto__": {"type": "number"}}') }, {}), undefined)
    assert.equal(({} as { polluted?: unknown }).polluted, undefined)
  })
})

describe('json-schema verifier', () => {
  const judge = (rows: [reference: string, completion: string][], spec = 'json-schema', timeoutMs = 5000) =>
    verifyAll(
      rows.map(([reference, completion]) => sampleOf(reference, completion)),
      spec,
      { concurrency: 1, timeoutMs },
    )

  it('judges by the schema in the reference', async () => {
    const judgements = await judge([
      [person, '{"name": "Ada", "age": 36}'],
      [person, `Sure!\n${block('{"name": "Ada", "age": 36}')}`],
      [person, '{"name": "Ada", "age": "36"}'],
      [person, '{"name": "Ada"}'],
      [person, 'Ada is 36'],
      ['{"type": "strng"}', '{}'],
      ['{"$ref": "#"}', '{}'],
    ])
    assert.deepEqual(
      judgements.map(({ verdict, reward }) => [verdict, reward]),
      [
        ['right', 1],
        ['right', 1],
        ['wrong', 0],
        ['wrong', 0],
        ['unparsed', 0],
        ['unparsed', null],
        ['unparsed', null],
      ],
    )
    assert.match(judgements[2]!.reason!, /\/age must be integer/)
    assert.match(judgements[3]!.reason!, /required property 'age'/)
    assert.match(judgements[6]!.reason!, /refers to itself without end/)
  })

  it('judges by the schema in a file, which is refused where it holds none', async () => {
    const file = join(dir, 'person, v1.json')
    const [good, bad] = [join(dir, 'person.json'), join(dir, 'bad.json')]
    await writeFile(good, person)
    await writeFile(bad, '{"type": "strng"}')
    const spec = `json-schema:schema=${good},find=anywhere`
    const judgements = await judge(
      [
        ['ignored', 'It is {"name": "Ada", "age": 36}.'],
        ['', '{}'],
      ],
      spec,
    )
    assert.deepEqual(
      judgements.map(({ verdict }) => verdict),
      ['right', 'wrong'],
    )
    await assert.rejects(judge([], `json-schema:schema=${bad}`), {
      code: 'INVALID_ARGUMENT',
      message: /bad\.json: .*type/s,
    })
    await assert.rejects(judge([], `json-schema:schema=${join(dir, 'none.json')}`), /none\.json/)
    await assert.rejects(judge([], `json-schema:schema=${file}`), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(judge([], 'json-schema:find=where'), { code: 'INVALID_ARGUMENT' })
  })

  it('gives hostile schemas and completions a verdict, and goes on', async () => {
    const doubling: Record<string, unknown> = { a0: { type: 'integer' } }
    for (let i = 1; i < 40; i++) {
      const ref = { $ref: `#/$defs/a${i - 1}` }
      doubling[`a${i}`] = { allOf: [ref, ref] }
    }
    const rows: [string, string, Verdict[]][] = [
      ['{"pattern": "^(a+)+$"}', `"${'a'.repeat(64)}!"`, ['timed-out']],
      ['{"patternProperties": {"^(a|aa)+$": false}}', `{"${'a'.repeat(80)}!": 1}`, ['timed-out']],
      [JSON.stringify({ $defs: doubling, $ref: '#/$defs/a39' }), '1', ['timed-out']],
      ['{"uniqueItems": true}', `[${'[],'.repeat(90_000)}[1]]`, ['timed-out', 'wrong']],
      [
        '{"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}',
        '1',
        ['unparsed'],
      ],
      [person, '['.repeat(900_000), ['unparsed']],
      ['{"type": "number"}', '1e999', ['right', 'wrong']],
      ['{"const": {"a": 1}}', '{"toString": 1}', ['wrong']],
      ['{"uniqueItems": true}', '[{"valueOf": 1}, {"valueOf": 1}]', ['wrong']],
      [person, '{"name": "Ada", "age": 36}', ['right']],
    ]
    const judgements = await judge(
      rows.map(([reference, completion]) => [reference, completion]),
      'json-schema',
      1000,
    )
    for (const [i, [reference, , allowed]] of rows.entries()) {
      assert.ok(
        allowed.includes(judgements[i]!.verdict),
        `${reference.slice(0, 60)}: ${JSON.stringify(judgements[i])}`,
      )
    }
  })
})
