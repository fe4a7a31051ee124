import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Policy } from '../../src/policy.ts'
import { TINY_CONFIG } from '../native-addon/tiny-policy.ts'
import { coppice } from './command-line.ts'

// The shape of Qwen2.5-7B: its plan must not allocate what it plans.
const LARGE = {
  ...{ model_type: 'qwen2', vocab_size: 152_064, hidden_size: 3584, intermediate_size: 18_944 },
  ...{
    num_hidden_layers: 28,
    num_attention_heads: 28,
    num_key_value_heads: 4,
    max_position_embeddings: 4096,
  },
  ...{ rms_norm_eps: 1e-6, rope_theta: 10_000, tie_word_embeddings: false, hidden_act: 'silu' },
}

describe('plan', () => {
  let folder: string
  const at = (name: string) => join(folder, name)
  const plan = async (...flags: string[]) => {
    const { code, stdout, stderr } = await coppice(['plan', ...flags, '--no-measure', '--json'])
    return { code, stderr, plan: JSON.parse(stdout) }
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-plan-'))
    await writeFile(at('tiny.json'), JSON.stringify(TINY_CONFIG))
    await writeFile(at('large.json'), JSON.stringify(LARGE))
  })
  after(() => rm(folder, { recursive: true }))

  for (const dtype of ['f32', 'bf16'] as const) {
    it(`says what an open policy says, in ${dtype}`, async () => {
      const options = { tokenBudget: 300, maxCompletionLength: 40, maxLiveSequences: 8, numGenerations: 4 }
      await using policy = await Policy.init({ config: TINY_CONFIG, dtype })
      const rows = await policy.plan({ ...options, promptsPerStep: 32, longestPrompt: 20 })
      const flags = ['--token-budget', '300', '--max-completion-length', '40', '--max-live-sequences', '8']
      const more = ['--num-generations', '4', '--longest-prompt', '20', '--dtype', dtype]
      const { code, plan: found } = await plan('--model', at('tiny.json'), ...flags, ...more)
      assert.equal(code, 0)
      const { 'Node.js': own, ...planned } = found.memory_bytes
      assert.deepEqual(planned, Object.fromEntries(rows.map(({ what, bytes }) => [what, bytes])))
      assert.ok(own > 2 ** 25 && own < 2 ** 30, `${own} bytes for Node.js`)
      assert.equal(found.fits, true)
    })
  }

  it('refuses what does not fit and names the flags that make it fit', async () => {
    const model = ['--model', at('large.json'), '--max-completion-length', '1024']
    const { plan: f32 } = await plan(...model, '--memory-gib', '1000')
    // Seven billion parameters, four copies of which are fp32.
    assert.ok(f32.total_bytes > 7.6e9 * 20 && f32.total_bytes < 7.6e9 * 30, `${f32.total_bytes}`)
    const room = String(f32.total_bytes / 2 ** 30 - 10)
    const { code, stderr, plan: tight } = await plan(...model, '--memory-gib', room)
    assert.equal(code, 2)
    assert.equal(tight.fits, false)
    assert.match(tight.advice, /^--dtype bf16 would make it/)
    assert.match(stderr, /does not fit: .*--dtype bf16/)
    const { plan: hopeless } = await plan(...model, '--memory-gib', '20')
    assert.match(hopeless.advice, /not even --dtype bf16 .*a smaller model/)
    const { stdout: help } = await coppice(['train', '--help'])
    const flags: string[] = hopeless.advice.match(/--[\w-]+/g)
    assert.ok(flags.length > 2, hopeless.advice)
    for (const flag of [...flags, '--max-live-sequences'])
      assert.ok(help.includes(`${flag} `), `train does not take ${flag}`)
  })

  it('says what checkpointing of activations saves', async () => {
    const model = ['--model', at('large.json'), '--memory-gib', '1000']
    const { plan: kept } = await plan(...model)
    const { plan: again } = await plan(...model, '--activation-checkpointing', 'layer')
    const what = 'activations and scratch'
    assert.ok(again.memory_bytes[what] < kept.memory_bytes[what] / 3)
    for (const name of ['parameters', 'gradients', 'key/value cache', 'rollouts'])
      assert.equal(again.memory_bytes[name], kept.memory_bytes[name])
  })

  it('knows presets, and the flags that win over them', async () => {
    const { code, plan: found } = await plan(
      ...['--preset', 'paper-qwen2.5-math-7b', '--model', at('large.json'), '--memory-gib', '300'],
    )
    assert.equal(code, 0)
    assert.equal(found.dtype, 'bf16')
    const { plan: other } = await plan(
      ...['--preset', 'paper-qwen2.5-math-7b', '--model', at('large.json'), '--memory-gib', '300'],
      ...['--dtype', 'f32'],
    )
    assert.ok(other.memory_bytes.parameters > 1.9 * found.memory_bytes.parameters)
  })

  it('refuses lengths that the model has no room for, and memory that is none', async () => {
    for (const [flags, message] of [
      [['--longest-prompt', '100', '--max-completion-length', '100'], /192 tokens together at most/],
      [['--memory-gib', '-3'], /--memory-gib: not an amount of memory/],
    ] as const) {
      const { code, stdout, stderr } = await coppice(['plan', '--model', at('tiny.json'), ...flags])
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, message)
    }
  })

  it('expects some tokens a second', async () => {
    const { code, stdout } = await coppice([
      'plan',
      '--model',
      at('tiny.json'),
      '--max-completion-length',
      '40',
    ])
    assert.equal(code, 0)
    assert.match(stdout, /about [\d,]+ tokens\/s sampled and [\d,]+ trained/)
  })
})
