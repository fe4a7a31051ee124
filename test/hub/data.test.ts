import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { inspectDataSet, resolveData } from '../../src/hub.ts'
import { readDataTable, readPrompts, readSupervisedRows } from '../../src/index.ts'
import { jsonl, units } from '../data/files.ts'
import { refused } from '../refused.ts'
import { large } from './hub-server.ts'
import { withHub } from './hub-test.ts'

const GSM8K_CARD = `---
language:
- en
dataset_info:
- config_name: main
  features:
  - name: question
    dtype: string
  splits:
  - name: train
    num_bytes: 3963202
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: main/test-*
- config_name: socratic
  data_files:
  - split: train
    path: socratic/train-*
  - split: test
    path: socratic/test-*
size_categories:
- 1K<n<10K
---
# Questions
configs:
- not: these
`

const question = (text: string) => jsonl({ question: text, answer: `So #### ${text.length}` })

/** Every path's content is a question of that name. */
const contents = (paths: readonly string[]) =>
  Object.fromEntries(paths.map((path) => [path, path.endsWith('.json') ? '[]' : question(path)]))

describe('data sets on the hub', () => {
  const hub = withHub()
  const chosen = async (options: Parameters<typeof resolveData>[1] = {}, id = 'org/data') =>
    (await resolveData(id, options)).map((path) => path.split(/snapshots\/[0-9a-f]{40}\//)[1])

  it('are what their card says', async () => {
    const files = ['train', 'test'].flatMap((split) =>
      ['main', 'socratic'].flatMap((subset) =>
        [0, 1].map((i) => `${subset}/${split}-0000${i}-of-00002.jsonl`),
      ),
    )
    hub.server.commit('datasets/org/data', {
      ...contents(files),
      'README.md': GSM8K_CARD,
      'other.jsonl': 'x',
    })
    const options = { subset: 'main', split: 'test' }
    assert.deepEqual(await chosen(options), [
      'main/test-00000-of-00002.jsonl',
      'main/test-00001-of-00002.jsonl',
    ])
    assert.deepEqual(
      hub.server.bodies.map((url) =>
        url
          .split('/')
          .slice(-2)
          .join('/')
          .replace(/^[0-9a-f]{40}\//, ''),
      ),
      ['README.md', 'main/test-00000-of-00002.jsonl', 'main/test-00001-of-00002.jsonl'],
      'nothing else is fetched',
    )
    const several = refused(
      'INVALID_ARGUMENT',
      /org\/data: a data set with several subsets; expected one of the subsets main, socratic/,
    )
    await assert.rejects(chosen(), several)
    await assert.rejects(
      chosen({ subset: 'main' }),
      refused('INVALID_ARGUMENT', /subset main: .*several splits; expected one of the splits train, test/),
    )
    await assert.rejects(
      chosen({ subset: 'mian' }),
      refused('NOT_FOUND', /no subset 'mian'.*did you mean 'main'/),
    )
    await assert.rejects(chosen({ subset: 'main', split: 'dev' }), refused('NOT_FOUND', /no split 'dev'/))
  })

  it('are read as prompts, as a table and as supervised rows, several files as one', async () => {
    const shards = [0, 1, 2].map((i) => [
      `data/train-0000${i}-of-00003.jsonl`,
      jsonl({ question: `q${i}`, answer: `#### ${i}` }, { question: `r${i}`, answer: `#### ${10 + i}` }),
    ])
    hub.server.commit('datasets/org/data', Object.fromEntries(shards))
    const prompts = await readPrompts('org/data', units)
    assert.deepEqual(
      prompts.map(({ promptId, prompt, reference }) => [promptId, prompt, reference]),
      ['q0 0', 'r0 10', 'q1 1', 'r1 11', 'q2 2', 'r2 12'].map((text, i) => [String(i), ...text.split(' ')]),
    )
    const some = await readPrompts('org/data', units, { split: 'train', filters: ['question!=q1'], limit: 3 })
    assert.deepEqual(
      some.map(({ prompt }) => prompt),
      ['q0', 'r0', 'r1'],
    )
    const table = await readDataTable('hf://datasets/org/data', { limit: 4 })
    assert.equal(table.numRows, 4)
    assert.deepEqual([...table.getChild('reference')!], ['0', '10', '1', '11'])
    hub.server.commit('datasets/org/sft', {
      'a.jsonl': jsonl({ prompt: 'ab', completion: 'c' }),
      'b.jsonl': jsonl({ prompt: 'd', completion: 'ef' }),
    })
    const rows = await readSupervisedRows('org/sft', units)
    assert.deepEqual(
      rows.map(({ promptTokens, completionTokens }) => [promptTokens.length, completionTokens.length]),
      [
        [2, 1],
        [1, 2],
      ],
    )
  })

  it('name the file of a bad row, and refuse shards of different columns', async () => {
    const good = jsonl({ question: 'q', answer: '#### 1' })
    hub.server.commit('datasets/org/data', {
      'data/train-00000-of-00002.jsonl': good,
      'data/train-00001-of-00002.jsonl': `${good}{"question":\n`,
    })
    const bad = refused(
      'DATA_CORRUPT',
      /snapshots\/[0-9a-f]{40}\/data, train-00001-of-00002\.jsonl, line 2: not JSON/,
    )
    await assert.rejects(readPrompts('org/data', units), bad)
    const skipped: string[] = []
    const rows = await readPrompts('org/data', units, {
      onBadRow: 'skip',
      onSkipped: ({ first }) => skipped.push(...first),
    })
    assert.deepEqual(
      rows.map(({ promptId }) => promptId),
      ['0', '1'],
    )
    assert.match(skipped.join(), /^train-00001-of-00002\.jsonl, line 2/)
    const parquet = (name: string) =>
      readFileSync(fileURLToPath(new URL(`../data/fixtures/${name}`, import.meta.url)))
    hub.server.commit('datasets/org/mixed', {
      'a.parquet': large(parquet('gsm8k.parquet')),
      'b.parquet': large(parquet('math.parquet')),
    })
    await assert.rejects(
      readPrompts('org/mixed', units),
      refused('DATA_CORRUPT', /other columns than in the first file/),
    )
    const file = await readPrompts('hf://datasets/org/mixed/a.parquet', units)
    assert.ok(file.length > 0)
  })

  it('without a card are what their files are called', async () => {
    const layout = async (paths: readonly string[], options = {}) => {
      hub.server.commit('datasets/org/data', contents(paths))
      return chosen(options)
    }
    assert.deepEqual(await layout(['data/train-00000-of-00001.jsonl']), ['data/train-00000-of-00001.jsonl'])
    assert.deepEqual(await layout(['train.jsonl', 'test.jsonl'], { split: 'test' }), ['test.jsonl'])
    assert.deepEqual(await layout(['train.jsonl', 'dev.jsonl'], { split: 'validation' }), ['dev.jsonl'])
    assert.deepEqual(await layout(['b.jsonl', 'a.jsonl']), ['a.jsonl', 'b.jsonl'])
    assert.deepEqual(await layout(['train/0.csv', 'test/0.csv'], { split: 'train' }), ['train/0.csv'])
    assert.deepEqual(await layout(['main/train/0000.csv', 'other/train/0000.csv'], { subset: 'other' }), [
      'other/train/0000.csv',
    ])
    assert.deepEqual(
      await layout(['data/aime24-00000-of-00001.csv', 'data/aime25-00000-of-00001.csv'], { split: 'aime25' }),
      ['data/aime25-00000-of-00001.csv'],
    )
    assert.deepEqual(await layout(['x.jsonl', 'dataset_infos.json', '.hidden.jsonl', '_y/z.jsonl']), [
      'x.jsonl',
    ])
    assert.deepEqual(await layout(['x.jsonl', 'x.csv']), ['x.jsonl'], 'one of two formats')
    assert.deepEqual(await layout(['math_500.jsonl']), ['math_500.jsonl'])
    await assert.rejects(
      layout(['train-00000-of-00002.jsonl']),
      refused('NOT_FOUND', /not all shards are there; expected 2 files; received 1/),
    )
    await assert.rejects(
      layout(['gsm8k.py', 'README.txt']),
      refused('NOT_FOUND', /gsm8k\.py is a loading script, which is never run.*refs\/convert\/parquet/),
    )
    await assert.rejects(
      layout(['x.jsonl.gz']),
      refused('NOT_FOUND', /expected \.parquet, .*received x\.jsonl\.gz/),
    )
  })

  it('tell what they hold', async () => {
    const files = contents(['main/train-00000-of-00001.jsonl', 'socratic/train-00000-of-00001.jsonl'])
    const card = GSM8K_CARD.replaceAll(/ {2}- split: test\n {4}path: .*\n/g, '')
    const commit = hub.server.commit('datasets/org/data', { ...files, 'README.md': card })
    const { subsets, ...facts } = await inspectDataSet('org/data')
    assert.deepEqual(facts, { id: 'org/data', commit })
    assert.deepEqual(
      subsets.map(({ name, splits }) => [name, splits]),
      ['main', 'socratic'].map((name) => {
        const { length } = files[`${name}/train-00000-of-00001.jsonl`]!
        return [name, [{ name: 'train', files: 1, bytes: length }]]
      }),
    )
    assert.equal(hub.server.bodies.length, 1, 'the card alone')
    await assert.rejects(inspectDataSet('x.jsonl'), refused('INVALID_ARGUMENT', /the id of a data set/))
  })

  it('may be named file by file', async () => {
    hub.server.commit(
      'datasets/org/data',
      contents(['a/x.jsonl', 'a/y.jsonl', 'b/train.csv', 'b/test.csv', 'c d#?.jsonl']),
    )
    const at = (path: string, options = {}) => chosen(options, `hf://datasets/org/data/${path}`)
    assert.deepEqual(await at('a/x.jsonl'), ['a/x.jsonl'])
    assert.deepEqual(await at('a/*.jsonl'), ['a/x.jsonl', 'a/y.jsonl'])
    assert.deepEqual(await at('**/{x,test}.*'), ['a/x.jsonl', 'b/test.csv'])
    assert.deepEqual(await at('b', { split: 'test' }), ['b/test.csv'])
    assert.deepEqual(await at('c d#?.jsonl'), ['c d#?.jsonl'])
    await assert.rejects(at('z'), refused('NOT_FOUND', /no file "z".*received a\/x\.jsonl/))
    await assert.rejects(
      at('a/x.jsonl', { split: 'train' }),
      refused('INVALID_ARGUMENT', /a split beside a file/),
    )
    await assert.rejects(at('b', { subset: 'b' }), refused('INVALID_ARGUMENT', /a subset beside a path/))
    const revision = hub.server.commit('datasets/org/data', contents(['a/x.jsonl']), {
      revision: 'refs/convert/parquet',
    })
    assert.match(
      (await resolveData('hf://datasets/org/data@refs/convert/parquet/a/x.jsonl'))[0]!,
      new RegExp(revision),
    )
    assert.match(
      (await resolveData('org/data', { revision: 'refs/convert/parquet' }))[0]!,
      new RegExp(revision),
    )
    await assert.rejects(
      resolveData('hf://org/data'),
      refused('INVALID_ARGUMENT', /hf:\/\/datasets\/org\/name/),
    )
  })

  it('are read from the cache without the network, whole or not at all', async () => {
    hub.server.commit('datasets/org/data', {
      ...contents(['main/train-00000-of-00001.jsonl', 'main/test-00000-of-00001.jsonl']),
      'README.md': GSM8K_CARD,
    })
    const options = { subset: 'main', split: 'train' }
    const files = await chosen(options)
    process.env.HF_HUB_OFFLINE = '1'
    assert.deepEqual(await chosen(options), files)
    await assert.rejects(
      chosen({ subset: 'main', split: 'test' }),
      refused('NOT_FOUND', /HF_HUB_OFFLINE is set, and main\/test-00000-of-00001\.jsonl of data set/),
    )
  })

  it('with patterns for other places are refused', async () => {
    for (const path of ['https://example.org/x.jsonl', '../../x.jsonl', '/etc/passwd']) {
      const card = `---\nconfigs:\n- config_name: a\n  data_files: "${path}"\n---\n`
      hub.server.commit('datasets/org/data', { 'README.md': card, 'x.jsonl': question('x') })
      await assert.rejects(chosen(), refused('NOT_FOUND', /no file fits the card's patterns/))
    }
  })
})
