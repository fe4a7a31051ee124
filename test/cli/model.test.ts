import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { readSafetensorsHeader } from '../../src/index.ts'
import { checkpointDigest, timelessMetrics } from '../trainer/tiny-run.ts'
import { coppice } from './command-line.ts'

describe('verbs from an empty folder to an evaluation', () => {
  let folder = ''
  const at = (name: string) => join(folder, name)
  const done = async (...args: string[]) => {
    const { code, stdout, stderr } = await coppice(args)
    assert.equal(code, 0, stderr)
    return stdout
  }
  const json = async (...args: string[]) => JSON.parse(await done(...args, '--json'))

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-verbs-'))
    const options = ['--options', '{"nodes":3}', '--prompts', '4', '--demonstrations', '200']
    await done('task', 'walk', '--out', at('data'), ...options)
    await done('init', '--config', at('data/config.json'), '--seed', '1', '--out', at('init'))
  })
  after(() => rm(folder, { recursive: true }))

  it('init draws the parameters from the seed and brings the tokenizer along', async () => {
    const again = ['--config', at('data/config.json'), '--seed', '1', '--out', at('init2')]
    const { parameters } = await json('init', ...again)
    const [one, two] = [
      await readFile(at('init/model.safetensors')),
      await readFile(at('init2/model.safetensors')),
    ]
    assert.deepEqual(one, two)
    const facts = await json('inspect', at('init'))
    assert.equal(facts.kind, 'checkpoint')
    assert.equal(facts.parameters, parameters)
    assert.equal(facts.tokenizer.vocab_size, facts.config.vocabSize)
    const { code, stderr } = await coppice(['init', ...again])
    assert.equal(code, 2)
    assert.match(stderr, /exists and is not empty/)
  })

  it('--dtype bf16 writes, samples and scores in bf16', async () => {
    await done('init', '--config', at('data/config.json'), '--dtype', 'bf16', '--out', at('bf16'))
    const { tensors_by_dtype } = await json('inspect', at('bf16'))
    assert.deepEqual(Object.keys(tensors_by_dtype), ['bf16'])
    const model = ['--model', at('bf16'), '--dtype', 'bf16']
    const rollouts = at('bf16.jsonl')
    await done('generate', ...model, '--in', at('data/train.jsonl'), '--out', rollouts)
    const score = (...flags: string[]) =>
      json('score', ...flags, '--in', rollouts, '--out', at('bf16-scored.jsonl'))
    assert.equal((await score(...model)).max_difference, 0)
    assert.ok((await score('--model', at('bf16'))).max_difference > 0, 'f32 computes something else')
  })

  it('generate and score agree to the last bit, in both formats and whatever the number of threads', async () => {
    const generate = [
      'generate',
      '--model',
      at('init'),
      '--in',
      at('data/train.jsonl'),
      '--max-completion-length',
      '4',
    ]
    for (const [format, threads] of [
      ['arrow', '1'],
      ['jsonl', '2'],
    ] as const) {
      const rollouts = at(`rollouts.${format}`)
      const sampling = ['--num-generations', '4', '--temperature', '0.8', '--top-p', '0.9', '--seed', '9']
      await done(...generate, ...sampling, '--threads', threads, '--out', rollouts)
      const scored = await json(
        'score',
        '--model',
        at('init'),
        '--in',
        rollouts,
        '--out',
        at(`scored.${format}`),
      )
      assert.equal(scored.max_difference, 0)
      assert.equal(scored.rows, 16)
    }
    const [arrow, jsonl] = ['arrow', 'jsonl'].map((format) =>
      json('inspect', at(`rollouts.${format}`), '--rows', '16'),
    )
    assert.deepEqual((await arrow).first_rows, (await jsonl).first_rows)
    const names = Object.keys((await json('inspect', at('scored.arrow'))).columns)
    for (const name of ['sampler_logprobs', 'scored_logprobs', 'entropies'])
      assert.ok(names.includes(name), name)
  })

  it('grad takes a number or a list of token weights and writes every tensor under its name', async () => {
    const [numbers, lists] = [at('numbers.jsonl'), at('lists.jsonl')]
    const row = { prompt_tokens: [1, 2, 3], completion_tokens: [4, 5] }
    await writeFile(numbers, `${JSON.stringify({ ...row, token_weights: 0.5 })}\n`)
    await writeFile(lists, `${JSON.stringify({ ...row, token_weights: [0.5, 0.5] })}\n`)
    const { loss } = await json('grad', '--model', at('init'), '--in', numbers, '--out', at('n.safetensors'))
    assert.equal(
      (await json('grad', '--model', at('init'), '--in', lists, '--out', at('l.safetensors'))).loss,
      loss,
    )
    assert.deepEqual(await readFile(at('n.safetensors')), await readFile(at('l.safetensors')))
    const scored = await json('score', '--model', at('init'), '--in', numbers, '--out', at('ns.jsonl'))
    assert.ok(Math.abs(loss + 0.5 * scored.mean_logprob * 2) < 1e-6)
    const gradients = [...readSafetensorsHeader(at('n.safetensors')).tensors.values()]
    const parameters = [...readSafetensorsHeader(at('init/model.safetensors')).tensors.values()]
    assert.deepEqual(
      gradients.map(({ name, shape }) => ({ name, shape })),
      parameters.map(({ name, shape }) => ({ name, shape })),
    )
    for (const { dtype } of gradients) assert.equal(dtype, 'F32')
    const bad = at('bad.jsonl')
    await writeFile(bad, `${JSON.stringify({ ...row, token_weights: [1] })}\n`)
    const { code, stderr } = await coppice([
      'grad',
      '--model',
      at('init'),
      '--in',
      bad,
      '--out',
      at('b.safetensors'),
    ])
    assert.equal(code, 2)
    assert.match(stderr, /token_weights, row 0.*2 numbers.*1 numbers/)
  })

  it('sft makes a model folder and leaves nothing else', async () => {
    const args = [
      '--model',
      at('init'),
      '--in',
      at('data/demonstrations.jsonl'),
      '--steps',
      '30',
      '--out',
      at('base'),
    ]
    const { loss } = await json('sft', ...args, '--learning-rate', '0.005')
    assert.ok(loss < 2)
    assert.ok(existsSync(at('base/config.json')) && existsSync(at('base/tokenizer.json')))
    assert.equal((await timelessMetrics(at('base'))).length, 30)
    assert.equal(existsSync(at('base.run')), false)
  })

  it('train saves on Ctrl-C or termination, says how to go on, and ends in the same bytes', async () => {
    const train = (out: string, seed = '3') => [
      ...['train', '--model', at('init'), '--prompts', at('data/train.jsonl'), '--verifier', 'walk'],
      ...[
        '--objective',
        'w-reinforce',
        '--lambda',
        '0.1',
        '--num-generations',
        '4',
        '--prompts-per-step',
        '4',
      ],
      ...['--mini-batch-rows', '8', '--max-completion-length', '4', '--learning-rate', '1e-3'],
      ...['--steps', '400', '--seed', seed, '--out', at(out)],
    ]
    const whole = await json(...train('whole'))
    assert.equal(whole.step, 400)
    assert.equal(whole.checkpoint, join(at('whole'), 'checkpoints', '400'))
    for (const [signal, expected] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const out = `stopped-${signal}`
      const stopped = coppice(train(out), async (kill) => {
        while ((await readFile(join(at(out), 'metrics.jsonl'), 'utf8').catch(() => '')) === '')
          await new Promise((resolve) => setTimeout(resolve, 10))
        kill(signal)
      })
      const { code, stderr } = await stopped
      assert.equal(code, expected, stderr)
      assert.match(stderr, /--resume goes on/)
      assert.ok((await timelessMetrics(at(out))).length < 400)
      await done(...train(out), '--resume')
      assert.deepEqual(await timelessMetrics(at(out)), await timelessMetrics(at('whole')))
      assert.deepEqual(await checkpointDigest(at(out), 400), await checkpointDigest(at('whole'), 400))
    }
    const { code, stderr } = await coppice([...train('whole', '4'), '--resume'])
    assert.equal(code, 2)
    assert.match(stderr, /cannot change 'seed'/)
  })

  it('eval writes pass@k with intervals, and the rollouts', async () => {
    const args = ['--model', at('init'), '--in', at('data/heldout.jsonl'), '--verifier', 'walk', '--n', '16']
    const evaluation = await json('eval', ...args, '--out', at('evaluation'), '--max-completion-length', '4')
    const passAtK = JSON.parse(await readFile(at('evaluation/passk.json'), 'utf8'))
    assert.deepEqual(Object.keys(passAtK), ['1', '2', '4', '8', '16'])
    assert.deepEqual(passAtK, evaluation.pass_at_k)
    for (const { mean, low, high } of Object.values<Record<'mean' | 'low' | 'high', number>>(passAtK)) {
      assert.ok(0 <= low && low <= mean && mean <= high && high <= 1)
    }
    assert.equal((await json('inspect', at('evaluation/rollouts.arrow'))).rows, 64)
  })
})
