import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { textTable } from '../src/cli/table.ts'
import {
  type ActivationCheckpointing,
  type ComputeDtype,
  defaultConfig,
  environment,
  type PlanOptions,
  type PlanRow,
  Policy,
  type PromptRow,
  processRow,
  sft,
  shuffledBatches,
  type TrainProgress,
  totalBytes,
  train,
} from '../src/index.ts'

// The plan of a run beside the memory that the run took. Every case in a process of its own, on a random model that another process
// made; completions are all of full length, since that is what is planned for. Linux alone: what is measured is the process's peak of
// resident bytes (VmHWM of /proc/self/status), set back between the phases (5 written to /proc/self/clear_refs).
//
//   node --import tsx bench/memory.ts [--cases train/S,generate] [--steps 2] [--save FILE]
//
// --cases: names that begin with one of these.

const MODELS = {
  tiny: { hiddenSize: 32, numLayers: 2, numHeads: 4, numKvHeads: 2, intermediateSize: 64, vocabSize: 61 },
  S: { hiddenSize: 256, numLayers: 4, numHeads: 4, numKvHeads: 4, intermediateSize: 1024, vocabSize: 128 },
  M: { hiddenSize: 512, numLayers: 8, numHeads: 8, numKvHeads: 8, intermediateSize: 2048, vocabSize: 4096 },
  // 150 million parameters, a fifth of them in the embedding, with grouped queries.
  L: {
    ...{ hiddenSize: 896, numLayers: 8, numHeads: 14, numKvHeads: 2 },
    ...{ intermediateSize: 4864, vocabSize: 32_000 },
  },
} as const

const WORK = ['train', 'reference', 'resume', 'sft', 'generate', 'score'] as const

export interface MemoryCase {
  /** `reference`: training with a KL term against a second policy. `resume`: training that goes on from its checkpoint. */
  work: (typeof WORK)[number]
  model: keyof typeof MODELS
  dtype: ComputeDtype
  activationCheckpointing: ActivationCheckpointing
  rollouts: Required<Pick<PlanOptions, 'promptsPerStep' | 'numGenerations' | 'maxCompletionLength'>>
  /** Steps of the run, or generations, or scorings. */
  steps: number
}

/** In bytes. */
export interface MemoryMeasurement {
  plan: PlanRow[]
  /** Peaks of the resident bytes: until the plan is made, while its memory is taken, in the work, and while a checkpoint is saved. */
  loading: number
  reserving: number
  working: number
  saving: number
}

const FEW = { promptsPerStep: 4, numGenerations: 8, maxCompletionLength: 32 }
const SOME = { promptsPerStep: 16, numGenerations: 8, maxCompletionLength: 128 }
const MANY = { promptsPerStep: 256, numGenerations: 32, maxCompletionLength: 32 }
const PROMPT_LENGTH = 32

/** Makes a model and does the work on it, each in a process of its own. */
export function measureMemory(options: MemoryCase): MemoryMeasurement {
  const folder = mkdtempSync(join(tmpdir(), 'coppice-memory-'))
  try {
    inProcess('make', folder, options)
    if (options.work !== 'resume') return inProcess('work', folder, options) as MemoryMeasurement
    inProcess('work', folder, { ...options, work: 'train', steps: 1 })
    return inProcess('work', folder, { ...options, steps: options.steps + 1 }) as MemoryMeasurement
  } finally {
    rmSync(folder, { recursive: true })
  }
}

type Phase = 'make' | 'work'

function inProcess(phase: Phase, folder: string, options: MemoryCase): unknown {
  const args = ['--import', 'tsx', fileURLToPath(import.meta.url)]
  const own = ['--phase', phase, '--folder', folder, '--case', JSON.stringify(options)]
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args, ...own], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${phase} ${JSON.stringify(options)}: exit ${status}\n${stderr}`)
  return JSON.parse(stdout.trim().split('\n').at(-1)!)
}

const PHASES: Record<Phase, (folder: string, options: MemoryCase) => Promise<unknown>> = {
  async make(folder, { model, dtype }) {
    const config = defaultConfig({
      ...{ ...MODELS[model], modelType: 'qwen2', maxPositions: 512, tieEmbeddings: true },
    })
    await using policy = await Policy.init({ config, dtype })
    await policy.save(join(folder, 'model'), { dtype })
    return null
  },
  async work(folder, options) {
    const { dtype, work } = options
    const found: MemoryMeasurement = { plan: [], loading: 0, reserving: 0, working: 0, saving: 0 }
    const load = () => Policy.load({ model: join(folder, 'model'), dtype })
    await using policy = await load()
    await using reference = work === 'reference' ? await load() : undefined
    const ended: Ended = (phase) => {
      found[phase] = Math.max(found[phase], takePeak())
    }
    const planned = (rows: readonly PlanRow[]) => {
      found.plan.push(...rows)
      ended('loading')
    }
    if (work === 'generate' || work === 'score') await infer(policy, options, planned, ended)
    else if (work === 'sft') await supervise(policy, options, planned, ended)
    else await reinforce(policy, reference, folder, options, planned, ended)
    return found
  },
}

type Planned = (rows: readonly PlanRow[]) => void
type Ended = (phase: 'loading' | 'reserving' | 'working' | 'saving') => void

async function reinforce(
  policy: Policy,
  reference: Policy | undefined,
  folder: string,
  { activationCheckpointing, steps, model, rollouts }: MemoryCase,
  onPlan: Planned,
  ended: Ended,
): Promise<void> {
  let begun = false
  const onProgress = ({ phase }: TrainProgress) => {
    if (!begun) ended('reserving')
    begun = true
    if (phase === 'save') ended('working')
  }
  const run = train({
    ...{ policy, ...rollouts, steps, activationCheckpointing, stopTokens: [], onPlan, onProgress },
    prompts: prompts(rollouts.promptsPerStep, MODELS[model].vocabSize),
    verifier: () => 1,
    objective: reference === undefined ? { kind: 'reinforce' } : { kind: 'reinforce', beta: 0.1 },
    ...(reference !== undefined && { reference }),
    out: join(folder, 'run'),
    resume: true,
  })
  for await (const { metrics } of run) requireNumber(metrics.loss)
  ended('saving')
}

async function supervise(
  policy: Policy,
  { activationCheckpointing, steps, model }: MemoryCase,
  onPlan: Planned,
  ended: Ended,
): Promise<void> {
  const [{ promptTokens }] = prompts(1, MODELS[model].vocabSize) as [PromptRow]
  const rows = Array.from({ length: 64 }, () => ({ promptTokens, completionTokens: promptTokens }))
  const batches = shuffledBatches(rows, 64, 1)
  for await (const { metrics } of sft({ policy, batches, steps, activationCheckpointing, onPlan })) {
    requireNumber(metrics.loss)
  }
  ended('working')
}

async function infer(
  policy: Policy,
  { work, steps, model, rollouts }: MemoryCase,
  onPlan: Planned,
  ended: Ended,
): Promise<void> {
  const planned: PlanOptions = {
    ...rollouts,
    longestPrompt: PROMPT_LENGTH,
    training: false,
    generation: work === 'generate',
  }
  onPlan([...(await policy.plan(planned)), processRow([policy])])
  await policy.reserve(planned)
  ended('reserving')
  const given = prompts(rollouts.promptsPerStep, MODELS[model].vocabSize)
  const { numGenerations, maxCompletionLength } = rollouts
  for (let step = 0; step < steps; step++) {
    if (work === 'generate') {
      await policy.generateAll(given, { numGenerations, maxCompletionLength, stopTokens: [], step })
    } else {
      const list = { values: given[0]!.promptTokens, offsets: Int32Array.of(0, PROMPT_LENGTH) }
      const { logprobs } = await policy.score({ rows: 1, promptTokens: list, completionTokens: list })
      requireNumber(logprobs[0])
    }
  }
  ended('working')
}

function requireNumber(value: number | undefined): void {
  if (!Number.isFinite(value)) throw new Error(`not a number: ${value}`)
}

function prompts(count: number, vocabSize: number): PromptRow[] {
  return Array.from({ length: count }, (_, i) => ({
    promptId: String(i),
    prompt: '',
    reference: '',
    promptTokens: Int32Array.from(
      { length: PROMPT_LENGTH },
      (_, t) => (7919 * (i + 1) + 101 * t) % vocabSize,
    ),
  }))
}

/** The most resident bytes since the last call. */
function takePeak(): number {
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))![1]
  writeFileSync('/proc/self/clear_refs', '5')
  return 1024 * Number(peak)
}

function casesOf(steps: number): Map<string, MemoryCase> {
  const cases = new Map<string, MemoryCase>()
  const add = (name: string, dtype: ComputeDtype, given: Partial<MemoryCase> = {}) => {
    const [work, model] = name.split('/') as [MemoryCase['work'], MemoryCase['model']]
    const common = { activationCheckpointing: 'none', rollouts: FEW, steps } as const
    cases.set(`${name}/${dtype}`, { work, model, dtype, ...common, ...given })
  }
  for (const dtype of ['f32', 'bf16'] as const) {
    for (const model of ['S', 'M', 'L'] as const) {
      const rollouts = model === 'S' ? SOME : FEW
      add(`train/${model}`, dtype, { rollouts })
      add(`train/${model}/layer`, dtype, { rollouts, activationCheckpointing: 'layer' })
    }
    for (const work of WORK.slice(1)) add(`${work}/M`, dtype)
  }
  add('train/tiny', 'f32')
  add('train/tiny/many-rollouts', 'f32', { rollouts: MANY })
  return cases
}

function main(): void {
  const { values: flags } = parseArgs({
    options: { cases: { type: 'string' }, steps: { type: 'string', default: '2' }, save: { type: 'string' } },
  })
  const cases = casesOf(Number(flags.steps))
  const wanted = flags.cases?.split(',') ?? ['']
  const unknown = wanted.find((prefix) => ![...cases.keys()].some((name) => name.startsWith(prefix)))
  if (unknown !== undefined) {
    console.error(`--cases: no case begins with '${unknown}'; there are ${[...cases.keys()].join(', ')}`)
    process.exitCode = 2
    return
  }
  const lines = [['case', 'planned', 'peak', 'planned / peak', 'loading', 'reserving', 'working', 'saving']]
  const mib = (bytes: number) => Math.round(bytes / 2 ** 20)
  for (const [name, options] of cases) {
    if (!wanted.some((prefix) => name.startsWith(prefix))) continue
    const { plan, ...phases } = measureMemory(options)
    const [planned, peak] = [totalBytes(plan), Math.max(...Object.values(phases))]
    const share = Number((planned / peak).toFixed(3))
    const { loading, reserving, working, saving } = phases
    const figures = [...[planned, peak].map(mib), share, ...[loading, reserving, working, saving].map(mib)]
    lines.push([name, ...figures.map(String)])
    const row = {
      op: 'memory',
      shape: name,
      ...{ planned_mib: mib(planned), peak_mib: mib(peak), planned_share: share },
      phases_mib: Object.fromEntries(Object.entries(phases).map(([phase, bytes]) => [phase, mib(bytes)])),
      classes_mib: Object.fromEntries(plan.map(({ what, bytes }) => [what, mib(bytes)])),
      ...environment(),
    }
    if (flags.save !== undefined) appendFileSync(flags.save, `${JSON.stringify(row)}\n`)
    console.error(JSON.stringify(row))
  }
  console.log(textTable(lines))
}

const at = process.argv.indexOf('--phase')
if (at !== -1) {
  const [phase, folder, options] = [1, 3, 5].map((i) => process.argv[at + i]!) as [Phase, string, string]
  console.log(JSON.stringify(await PHASES[phase](folder, JSON.parse(options) as MemoryCase)))
} else if (process.argv[1] === fileURLToPath(import.meta.url)) main()
