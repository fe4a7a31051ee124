import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { coppice } from './command-line.ts'

const lines = async (path: string) =>
  (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('verbs over files that need no model', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-files-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('verify takes reference or gold and completion or prediction, and passes other columns through', async () => {
    const [input, output] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')]
    const rows = [
      { gold: '42', prediction: '42', note: 'a' },
      { gold: '42', prediction: '41', note: 'b' },
    ]
    await writeFile(input, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const { code, stdout, stderr } = await coppice([
      'verify',
      '--verifier',
      'exact',
      '--in',
      input,
      '--out',
      output,
      '--json',
    ])
    assert.equal(code, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), {
      ...{ out: output, rows: 2, right: 1, wrong: 1, unparsed: 0, timed_out: 0, failures: 0, cached: 0 },
      ...{ clock_verdicts: 0, regenerable: true },
    })
    assert.deepEqual(await lines(output), [
      { ...rows[0], reward: 1, verdict: 'right' },
      { ...rows[1], reward: 0, verdict: 'wrong' },
    ])
  })

  it('verify joins several verifiers by weight, keeps what each gave, and judges the same content once', async () => {
    const [input, output] = [join(folder, 'weighted.jsonl'), join(folder, 'weighted-out.jsonl')]
    const completion = '<think>6 * 7</think><answer>42</answer>'
    const rows = [completion, completion, '<think>6 * 7</think><answer>41</answer>', '42'].map((text) => ({
      reference: '42',
      completion: text,
    }))
    await writeFile(input, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const run = (...weights: string[]) =>
      coppice([
        ...['verify', '--verifier', 'math', '--verifier', 'format', ...weights],
        ...['--in', input, '--out', output, '--json'],
      ])
    const { code, stdout, stderr } = await run('--reward-weights', '1,0.1')
    assert.equal(code, 0, stderr)
    const { right, wrong, cached, rewards } = JSON.parse(stdout)
    assert.deepEqual({ right, wrong, cached }, { right: 3, wrong: 1, cached: 2 })
    assert.deepEqual(rewards, { math: 0.75, format: 0.75 })
    const judged = (reward: number, verdict: string, math: number, format: number) => ({
      ...{ reward, verdict, reward_math: math, reward_format: format },
    })
    assert.deepEqual(await lines(output), [
      { ...rows[0], ...judged(1.1, 'right', 1, 1) },
      { ...rows[1], ...judged(1.1, 'right', 1, 1) },
      { ...rows[2], ...judged(0.1, 'wrong', 0, 1) },
      { ...rows[3], ...judged(1, 'right', 1, 0) },
    ])
    const bad = await run('--reward-weights', '1', '0.1', '2')
    assert.deepEqual([bad.code, bad.stdout], [2, ''])
    assert.match(bad.stderr, /rewardWeights: .*one number a verifier, so 2; received "3 of them"/)
    const words = await run('--reward-weights', '1,some')
    assert.equal(words.code, 2)
    assert.match(words.stderr, /--reward-weights: not a number/)
  })

  it('verify runs a TypeScript file, and a hanging one ends as timed-out', async () => {
    const [verifier, input, output] = ['v.ts', 'in2.jsonl', 'out2.arrow'].map((name) =>
      join(folder, name),
    ) as [...[string, string, string]]
    await writeFile(
      verifier,
      `export default ({ completion }: { completion: string }): number => {
        while (completion === 'hang') {}
        return completion.length > 1 ? 1 : 0
      }`,
    )
    await writeFile(
      input,
      ['a', 'ab', 'hang'].map((completion) => `${JSON.stringify({ completion })}\n`).join(''),
    )
    const args = [
      'verify',
      '--verifier',
      verifier,
      '--in',
      input,
      '--out',
      output,
      '--timeout-ms',
      '1000',
      '--json',
    ]
    const { code, stdout, stderr } = await coppice(args)
    assert.equal(code, 0, stderr)
    const { right, wrong, timed_out, ...summary } = JSON.parse(stdout)
    assert.deepEqual({ right, wrong, timed_out }, { right: 1, wrong: 1, timed_out: 1 })
    assert.deepEqual([summary.clock_verdicts, summary.regenerable], [1, false])
    assert.match(stderr, /1 verdict was given by the deadline/)
    const inspected = JSON.parse((await coppice(['inspect', output, '--json'])).stdout)
    assert.equal(inspected.kind, 'arrow')
    assert.deepEqual(inspected.verdicts, { wrong: 1, right: 1, 'timed-out': 1 })
  })

  it('task writes prompts, demonstrations, tokenizer and config that fit together', async () => {
    const out = join(folder, 'walk')
    const args = [
      'task',
      'walk',
      '--out',
      out,
      '--prompts',
      '5',
      '--demonstrations',
      '3',
      '--options',
      '{"nodes":4}',
    ]
    assert.equal((await coppice(args)).code, 0)
    const tokenizer = JSON.parse((await coppice(['inspect', join(out, 'tokenizer.json'), '--json'])).stdout)
    const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'))
    assert.equal(config.vocab_size, tokenizer.vocab_size)
    assert.equal(config.eos_token_id, tokenizer.eos_token_id)
    const ids = new Set<string>()
    for (const split of ['train', 'tune', 'heldout']) {
      for (const { prompt_id, prompt_tokens } of await lines(join(out, `${split}.jsonl`))) {
        ids.add(prompt_id)
        assert.ok(Math.max(...prompt_tokens) < config.vocab_size)
      }
    }
    assert.equal(ids.size, 15)
    assert.equal((await lines(join(out, 'demonstrations.jsonl'))).length, 3)
  })

  it('inspect names the line of a damaged JSONL file and the reason for a damaged Arrow file', async () => {
    const [jsonl, arrow, safetensors] = ['bad.jsonl', 'bad.arrow', 'bad.safetensors'].map((name) =>
      join(folder, name),
    ) as [...[string, string, string]]
    await writeFile(jsonl, '{"a":1}\n{"a":\n')
    await writeFile(arrow, 'ARROW1\0\0 not really, although long enough')
    await writeFile(safetensors, Buffer.from([255, 255, 255, 255, 255, 255, 255, 127, 0]))
    for (const [path, reason] of [
      [jsonl, /line 2/],
      [arrow, /not an Arrow file/],
      [safetensors, /header/],
    ] as const) {
      const { code, stderr } = await coppice(['inspect', path, '--json'])
      assert.equal(code, 2)
      assert.match(stderr, reason)
    }
  })
})
