import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ChatTemplate } from '../../src/index.ts'

const messages = [{ role: 'user', content: 'x' }]
const render = (source: string) => new ChatTemplate(source, 'hostile').render(messages)
const doubling = (start: string, step: string) =>
  `{% set ns = namespace(x=${start}) %}{% for i in range(60) %}{% set ns.x = ${step} %}{% endfor %}`
const BIG = '{% set b = "ab" * 900000 %}'

// Each would take hours or all memory without limits.
const hostile: [string, string, RegExp?][] = [
  ['a long range', '{% for i in range(1000000000) %}x{% endfor %}', /more than/],
  [
    'nested loops',
    '{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}',
    /steps|in all/,
  ],
  ['a loop without a body', '{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}'],
  ['text that doubles', `${doubling("'ab'", 'ns.x ~ ns.x')}{{ ns.x }}`, /2000000 characters/],
  ['text that doubles by +', doubling("'ab'", 'ns.x + ns.x'), /2000000 characters/],
  ['lists that double', doubling('[1]', 'ns.x + ns.x')],
  ['lists that share their parts', `${doubling('[1]', '[ns.x, ns.x]')}{{ ns.x | tojson }}`],
  ['mappings that share their parts', `${doubling("{'a': 1}", "{'a': ns.x, 'b': ns.x}")}{{ ns.x }}`],
  ['equality of lists that share their parts', `${doubling('[1]', '[ns.x, ns.x]')}{{ ns.x == ns.x }}`],
  ['text times a number', '{{ "x" * 10000000000 }}'],
  ['replace that multiplies', `${BIG}{{ b.replace('a', b) }}`],
  ['the filter replace', `${BIG}{{ b | replace('a', b) }}`],
  ['replace of nothing', `${BIG}{{ b.replace('', b) }}`],
  ['join with a long separator', `${BIG}{{ range(9999) | join(b) }}`],
  ['join of one text', `${BIG}{{ [b, b, b] | join }}`],
  ['a wide margin', '{{ "a\\nb" | indent(1000000000) }}'],
  ['a wide margin of JSON', '{{ [1, [2]] | tojson(indent=1000000000) }}'],
  ['a margin of JSON, nested', `${doubling('[1]', '[ns.x]')}{{ ns.x | tojson(indent=1999999) }}`],
  ['split into letters', `${BIG}{% for i in range(99) %}{% set x = b.split('a') %}{% endfor %}`],
  ['a macro that calls itself', '{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}', /nests/],
  ['a macro that calls itself twice', '{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}'],
  [
    'macros that multiply',
    `{% macro m0() %}x{% endmacro %}${Array.from({ length: 40 }, (_, i) => `{% macro m${i + 1}() %}{{ m${i}() }}{{ m${i}() }}{% endmacro %}`).join('')}{{ m40() }}`,
  ],
  [
    'macros made in a loop',
    `{% for i in range(90000) %}{% macro m() %}${'{{ x }}'.repeat(9999)}{% endmacro %}{% endfor %}`,
  ],
  [
    'names that are not there',
    '{% for i in range(90000) %}{% for j in range(90) %}{{ nothing }}{% endfor %}{% endfor %}',
  ],
  [
    'continue, often',
    '{% for i in range(90000) %}{% for j in range(90) %}{% continue %}{% endfor %}{% endfor %}',
  ],
  ['brackets', `{{ ${'['.repeat(20000)}${']'.repeat(20000)} }}`],
  ['ifs', '{% if true %}'.repeat(20000) + '{% endif %}'.repeat(20000)],
  ['white space', `${' '.repeat(400000)}{% if x %}`],
  ['a long source', 'x'.repeat(600000)],
  ['the same text taken over and over', `${BIG}{% for i in range(9999) %}{% set x = b[1:] %}{% endfor %}`],
  ['a search in long text', `${BIG}{% for i in range(99999) %}{% if 'bbb' in b %}{% endif %}{% endfor %}`],
  [
    'lists sorted over and over',
    '{% set r = range(90000) | list %}{% for i in range(9999) %}{% set x = r | sort %}{% endfor %}',
  ],
]

describe('hostile templates', () => {
  for (const [name, source, message] of hostile) {
    // Refused by what the budget counts: a template that escapes the count would hold up the whole file.
    it(`are refused: ${name}`, () => {
      assert.throws(() => render(source), { code: 'DATA_CORRUPT', message: message ?? /^hostile/ })
    })
  }

  it('see plain data and nothing of JavaScript', () => {
    for (const name of ['constructor', '__proto__', 'prototype', 'toString', 'process', 'globalThis']) {
      assert.equal(render(`{{ ${name} }}{{ messages[0].${name} }}{{ messages[0]['${name}'] }}`), '', name)
      assert.equal(render(`{{ 'x'.${name} }}{{ [].${name} }}{{ none.${name} }}{{ {}.${name} }}`), '', name)
    }
    assert.throws(() => render('{{ messages.constructor("x") }}'), { code: 'DATA_CORRUPT' })
    assert.throws(() => render("{{ raise_exception.constructor('return 1')() }}"), { code: 'DATA_CORRUPT' })
    assert.throws(() => render("{{ 'x' | constructor }}"), { code: 'DATA_CORRUPT' })
  })

  it('can be given limits of their own', () => {
    const source = '{% for i in range(100) %}x{% endfor %}'
    assert.equal(render(source).length, 100)
    assert.throws(() => new ChatTemplate(source, 'small', {}, { steps: 50 }).render(messages), /50 steps/)
  })
})
