import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  appendColumns,
  columnsOf,
  environment,
  Policy,
  type PromptRow,
  type RolloutBatch,
} from '../src/index.ts'

// A random checkpoint with the shape of Qwen2.5-0.5B: loads it, samples, takes one W-REINFORCE step with fp32 masters, saves and
// resumes, each in a process of its own, with the peak of its memory. Beside it, where PYTHON has torch and transformers, the same
// work there (half_billion.py). Needs 4 GB of disk and 16 GiB of memory.
//
//   node --import tsx bench/half-billion.ts [--dtype f32] [--save FILE] [--python PATH]

const CONFIG = {
  architectures: ['Qwen2ForCausalLM'],
  ...{ model_type: 'qwen2', vocab_size: 151_936, hidden_size: 896, intermediate_size: 4864 },
  ...{
    num_hidden_layers: 24,
    num_attention_heads: 14,
    num_key_value_heads: 2,
    max_position_embeddings: 32_768,
  },
  ...{ rms_norm_eps: 1e-6, rope_theta: 1_000_000, tie_word_embeddings: true, hidden_act: 'silu' },
  ...{ eos_token_id: 151_643, use_sliding_window: false, sliding_window: null },
}
const PROMPTS = 4
const PROMPT_LENGTH = 128
const GENERATIONS = 4
const COMPLETION_LENGTH = 32
const SHAPE = `Qwen2.5-0.5B, ${PROMPTS} prompts of ${PROMPT_LENGTH} x ${GENERATIONS} completions of ${COMPLETION_LENGTH}`

type Figures = Record<string, number>

function flag(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`)
  return at === -1 ? undefined : process.argv[at + 1]
}

const dtype = flag('dtype') === 'f32' ? 'f32' : 'bf16'

function prompts(): PromptRow[] {
  return Array.from({ length: PROMPTS }, (_, i) => ({
    promptId: String(i),
    prompt: '',
    reference: '',
    promptTokens: Int32Array.from(
      { length: PROMPT_LENGTH },
      (_, t) => (7919 * (i + 1) + 104_729 * t) % 150_000,
    ),
  }))
}

async function timed<T>(figures: Figures, name: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now()
  const result = await work()
  figures[name] = (performance.now() - start) / 1000
  return result
}

function generate(policy: Policy): Promise<RolloutBatch> {
  return policy.generateAll(prompts(), {
    numGenerations: GENERATIONS,
    maxCompletionLength: COMPLETION_LENGTH,
    stopTokens: [],
  })
}

async function step(policy: Policy, figures: Figures): Promise<void> {
  const batch = await generate(policy)
  const right = Array.from({ length: batch.numRows }, (_, row) => row % 2 === 0)
  const judged = appendColumns(batch, {
    verdict: right.map((yes) => (yes ? 'right' : 'wrong')),
    reward: right.map(Number),
  })
  const { metrics } = await timed(figures, 'step', () =>
    policy.update(judged, { objective: { kind: 'w-reinforce' }, learningRate: 1e-6 }),
  )
  for (const [name, value] of Object.entries(metrics)) {
    if (!Number.isFinite(value)) throw new Error(`${name} is ${value}`)
  }
}

const PHASES: Record<string, (folder: string, figures: Figures) => Promise<void>> = {
  async make(folder, figures) {
    await using policy = await timed(figures, 'init', () =>
      Policy.init({ config: CONFIG, dtype: 'bf16', seed: 1 }),
    )
    await timed(figures, 'save', () => policy.save(join(folder, 'model'), { dtype: 'bf16' }))
  },
  async sample(folder, figures) {
    await using policy = await timed(figures, 'load', () =>
      Policy.load({ model: join(folder, 'model'), dtype }),
    )
    figures.loaded_gib = process.memoryUsage().rss / 2 ** 30
    const batch = await timed(figures, 'generate', () => generate(policy))
    const { logprobs } = await timed(figures, 'score', () => policy.score(batch))
    const recorded = columnsOf(batch).logprobs.values
    figures.differing_logprobs = logprobs.filter((lp, i) => !Object.is(lp, recorded[i])).length
    figures.tokens_per_second = recorded.length / figures.generate!
  },
  async train(folder, figures) {
    await using policy = await Policy.load({ model: join(folder, 'model'), dtype })
    await step(policy, figures)
    await timed(figures, 'save', () => policy.saveTrainingState(join(folder, 'state')))
  },
  async resume(folder, figures) {
    await using policy = await Policy.load({ model: join(folder, 'state'), dtype })
    await timed(figures, 'resume', () => policy.loadTrainingState(join(folder, 'state')))
    await step(policy, figures)
    if (policy.policyStep !== 2) throw new Error(`the resumed policy has made ${policy.policyStep} steps`)
  },
}

function run(command: string, args: string[]): Figures {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${status}\n${stderr}`)
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Figures
}

function report(what: string, figures: Figures, type: string, own: boolean): void {
  const rounded = Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [name, Number(value.toPrecision(4))]),
  )
  const { commit, machine } = environment()
  const row = { op: what, shape: SHAPE, dtype: type, device: 'cpu', ...rounded, commit, machine }
  const line = JSON.stringify(own ? row : { ...row, contender: 'pytorch' })
  console.log(line)
  const path = flag('save')
  if (path !== undefined) appendFileSync(path, `${line}\n`)
}

function main(): void {
  const folder = mkdtempSync(join(tmpdir(), 'coppice-half-billion-'))
  const self = fileURLToPath(import.meta.url)
  try {
    for (const phase of Object.keys(PHASES)) {
      const args = ['--import', 'tsx', self, '--phase', phase, '--folder', folder, '--dtype', dtype]
      report(`half_billion_${phase}`, run(process.execPath, args), dtype, true)
    }
    const python = flag('python')
    if (python === undefined) return
    const script = fileURLToPath(new URL('half_billion.py', import.meta.url))
    for (const phase of ['sample', 'train']) {
      report(`half_billion_${phase}`, run(python, [script, phase, join(folder, 'model')]), 'bf16', false)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const phase = flag('phase')
if (phase === undefined) main()
else {
  const figures: Figures = {}
  await PHASES[phase]!(flag('folder')!, figures)
  // Kilobytes on Linux.
  figures.peak_gib = process.resourceUsage().maxRSS / 2 ** 20
  console.log(JSON.stringify(figures))
}
