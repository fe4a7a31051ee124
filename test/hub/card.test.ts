import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cardConfigs } from '../../src/hub/card.ts'
import { matchingPaths } from '../../src/hub/glob.ts'
import { refused } from '../refused.ts'

describe('a card', () => {
  const read = (...lines: string[]) =>
    cardConfigs(`---\nconfigs:\n${lines.join('\n')}\n---\n`, 'README.md').map(({ patterns, ...others }) => ({
      ...others,
      patterns: patterns === undefined ? undefined : Object.fromEntries(patterns),
    }))

  it('may be written in several ways', () => {
    assert.deepEqual(
      read('  - config_name: "a b"', "    data_files: 'x*.jsonl' # all", '    default: true'),
      [{ name: 'a b', isDefault: true, patterns: { train: ['x*.jsonl'] }, folder: undefined }],
    )
    assert.deepEqual(
      read(
        '-',
        '  config_name: a',
        '  data_files:',
        '  - x.csv',
        '  -   y.csv',
        '',
        '# end',
        '- data_dir: ./sub/',
      ),
      [
        { name: 'a', isDefault: false, patterns: { train: ['x.csv', 'y.csv'] }, folder: undefined },
        { name: 'default', isDefault: true, patterns: undefined, folder: 'sub' },
      ],
    )
    assert.deepEqual(
      read(
        '- config_name: a',
        '  description: >',
        '    many',
        '    words: here',
        '  data_files:',
        '    - path:',
        '      - "a"',
        '      - b',
        '      split: train',
        '    - split: test',
        '      path: ["c,d", e]',
      ),
      [
        {
          name: 'a',
          isDefault: false,
          patterns: { train: ['a', 'b'], test: ['c,d', 'e'] },
          folder: undefined,
        },
      ],
    )
    assert.deepEqual(read('- config_name: a', '  data_files:', '    train: x', '    test:', '    - y'), [
      { name: 'a', isDefault: false, patterns: { train: ['x'], test: ['y'] }, folder: undefined },
    ])
    for (const text of [
      '',
      '# no head',
      '---\nconfigs: []\n---',
      '---\nlanguage: en\n---\nconfigs:\n- a: b',
    ]) {
      assert.deepEqual(cardConfigs(text, 'README.md'), [])
    }
    assert.equal(cardConfigs('\ufeff---\r\nconfigs:\r\n- config_name: a\r\n---\r\n', 'x')[0]!.name, 'a')
  })

  it('that says something else is refused with its line', () => {
    for (const [expected, ...lines] of [
      [3, '  x: y'],
      [4, '- config_name: a', '  data_files: {train: x}'],
      [3, '- config_name: &a b'],
      [3, '- config_name: !!python/object x'],
      [4, '- config_name: a', '   data_files: x'],
      [4, '- config_name: a', '  data_files: [a,', '    b]'],
      [3, '- a'],
      [3, '- config_name: a', '  data_files:', '  - split: train'],
      [3, `- config_name: ${'x'.repeat(5000)}`],
      [3, `- ${'- '.repeat(100)}a`],
    ] as const) {
      assert.throws(
        () => read(...lines),
        refused('DATA_CORRUPT', new RegExp(`README\\.md, line ${expected}: the configs`)),
        lines.join('\n'),
      )
    }
  })
})

describe('a pattern', () => {
  const paths = ['a.json', 'a/b.json', 'a/b/c.json', 'a/train-1.json', 'b/[x].json']
  const matches = (pattern: string) => matchingPaths(pattern, paths, 'card')

  it('means what it means to a shell', () => {
    assert.deepEqual(matches('a.json'), ['a.json'])
    assert.deepEqual(matches('./a.json'), ['a.json'])
    assert.deepEqual(matches('*.json'), ['a.json'])
    assert.deepEqual(matches('**/*.json'), paths)
    assert.deepEqual(matches('**'), paths)
    assert.deepEqual(matches('a/*'), ['a/b.json', 'a/train-1.json'])
    assert.deepEqual(matches('a/**'), ['a/b.json', 'a/b/c.json', 'a/train-1.json'])
    assert.deepEqual(matches('a/**/c.json'), ['a/b/c.json'])
    assert.deepEqual(matches('?/train-[0-9].json'), ['a/train-1.json'])
    assert.deepEqual(matches('?/train-[!1].json'), [])
    assert.deepEqual(matches('{a,a/b}.json'), ['a.json', 'a/b.json'])
    assert.deepEqual(matches('b/[[]x].json'), ['b/[x].json'])
    assert.deepEqual(matches('../a.json'), [])
  })

  it('takes no more time than it may', () => {
    const names = Array.from({ length: 20_000 }, (_, i) => `${'a'.repeat(250)}${i}/`.repeat(4))
    const costly = refused('DATA_CORRUPT', /takes too long to match/)
    assert.throws(() => matchingPaths(`**/*${'a'.repeat(120)}b`, names, 'card'), costly)
    assert.throws(
      () => matchingPaths('{a,b}'.repeat(12), names, 'card'),
      refused('DATA_CORRUPT', /too many alternatives/),
    )
    assert.throws(
      () => matchingPaths('x'.repeat(2000), names, 'card'),
      refused('DATA_CORRUPT', /too many characters/),
    )
  })
})
