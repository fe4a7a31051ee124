import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { defaultConfig } from '../../src/checkpoint.ts'
import { coppice } from './command-line.ts'

const TOKENIZER = fileURLToPath(new URL('../oracle/fixtures/templates/qwen2', import.meta.url))
const parquet = (name: string) => fileURLToPath(new URL(`../data/fixtures/${name}.parquet`, import.meta.url))

// Problems of our own in the columns of the data sets, each with its answer.
const GSM8K = Array.from({ length: 10 }, (_, i) => ({
  question: `Ada has ${i} pears and gets ${i + 3} more. How many has she?`,
  answer: `She has ${i} + ${i + 3} = <<${i}+${i + 3}=${2 * i + 3}>>${2 * i + 3} pears.\n#### ${2 * i + 3}`,
}))
const MATH = Array.from({ length: 10 }, (_, i) => ({
  problem: `Simplify $\\frac{${2 * i + 2}}{4}$.`,
  level: 'Level 1',
  type: 'Prealgebra',
  solution: `Dividing by 2 gives $\\boxed{\\frac{${i + 1}}{2}}$.`,
}))

describe('data sets of mathematics, by their path alone', () => {
  let folder: string
  const at = (name: string) => join(folder, name)
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await coppice([...args, '--json'])
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout)
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-datasets-'))
    const vocabulary = Object.keys(
      JSON.parse(await readFile(join(TOKENIZER, 'tokenizer.json'), 'utf8')).model.vocab,
    )
    const config = defaultConfig({
      ...{ modelType: 'qwen2', vocabSize: vocabulary.length + 64, hiddenSize: 32, numLayers: 2, numHeads: 2 },
      ...{ intermediateSize: 64, maxPositions: 512 },
    })
    await writeFile(at('config.json'), JSON.stringify(config))
    await json('init', '--config', at('config.json'), '--tokenizer', TOKENIZER, '--out', at('model'))
    for (const [name, rows] of Object.entries({ gsm8k: GSM8K, math: MATH })) {
      await writeFile(at(`${name}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    }
  })
  after(() => rm(folder, { recursive: true }))

  for (const [name, format] of [
    ['gsm8k', 'parquet'],
    ['gsm8k', 'jsonl'],
    ['math', 'parquet'],
    ['math', 'jsonl'],
  ] as const) {
    it(`${name}.${format}: generate, verify, eval`, async () => {
      const data = format === 'parquet' ? parquet(name) : at(`${name}.jsonl`)
      const rollouts = at(`${name}-${format}-rollouts.jsonl`)
      const short = ['--num-generations', '2', '--max-completion-length', '6']
      assert.equal(
        (await json('generate', '--model', at('model'), '--in', data, '--out', rollouts, ...short)).rows,
        20,
      )
      // A random model knows nothing: every other completion is answered for it, from the data set's own reference.
      const rows = (await readFile(rollouts, 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      for (const [i, row] of rows.entries()) {
        row.completion = i % 2 === 0 ? `So it is $\\boxed{${row.reference}}$.` : 'So it is $\\boxed{-7}$.'
      }
      const answered = at(`${name}-${format}-answered.jsonl`)
      await writeFile(answered, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
      const judged = at(`${name}-${format}-judged.jsonl`)
      const { right, wrong } = await json('verify', '--verifier', 'math', '--in', answered, '--out', judged)
      assert.deepEqual({ right, wrong }, { right: 10, wrong: 10 })

      const out = at(`${name}-${format}-eval`)
      const eval_ = [
        'eval',
        '--model',
        at('model'),
        '--in',
        data,
        '--verifier',
        'math',
        '--n',
        '2',
        '--out',
        out,
      ]
      await json(...eval_, '--max-completion-length', '6')
      const passk = JSON.parse(await readFile(join(out, 'passk.json'), 'utf8'))
      assert.ok(passk[1].mean >= 0 && passk[1].high <= 1, JSON.stringify(passk))
    })
  }

  it('--sampling model takes the sampling of generation_config.json, other flags win', async () => {
    const path = at('model/generation_config.json')
    await writeFile(path, JSON.stringify({ do_sample: false, eos_token_id: 1 }))
    const generate = async (...flags: string[]) => {
      const out = at('sampled.jsonl')
      const length = ['--num-generations', '2', '--max-completion-length', '8']
      await json(
        'generate',
        '--model',
        at('model'),
        '--in',
        at('gsm8k.jsonl'),
        '--out',
        out,
        ...length,
        ...flags,
      )
      return (await readFile(out, 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).completion_tokens)
    }
    const pairsAgree = (rows: number[][]) => rows.every((row, i) => `${row}` === `${rows[i - (i % 2)]}`)
    assert.ok(pairsAgree(await generate('--sampling', 'model')), 'greedy')
    assert.ok(!pairsAgree(await generate()), 'sampled at temperature 1')
    assert.ok(!pairsAgree(await generate('--sampling', 'model', '--temperature', '1')), 'the flag wins')
    await writeFile(path, JSON.stringify({ do_sample: true, repetition_penalty: 1.05 }))
    const refused = ['generate', '--model', at('model'), '--in', at('gsm8k.jsonl'), '--out', at('x.jsonl')]
    const { code, stderr } = await coppice([...refused, '--sampling', 'model'])
    assert.equal(code, 2)
    assert.match(stderr, /repetition_penalty 1\.05/)
    await rm(path)
  })
})
