import { readFileSync } from 'node:fs'
import { CoppiceError, environment, Kernels, Policy } from '../../index.ts'
import { BENCH_MODELS, promptsOfLength, trainingRows } from '../bench/model-shapes.ts'
import type { CompareCase } from './cases.ts'
import type { MeasuredLine } from './contender-line.ts'

const MIN_RUNS = 3
const MAX_RUNS = 2000

interface Measured {
  seconds: readonly number[]
  isa: string
}

/** What a contender's program does, by coppice: times the case in this process, of which it should be all there is. */
export async function measureCase(text: string, isa: string | undefined): Promise<MeasuredLine> {
  const asked = parseCase(text)
  const measured = await MEASURES[asked.kind](asked, isa)
  const { op, shape, dtype, threads, tokens } = asked
  return {
    ...{ contender: 'coppice', variant: measured.isa, op, shape, dtype, threads },
    ...{ seconds: measured.seconds, tokens, peak_rss_mib: Number(peakRssMib().toFixed(1)) },
    versions: environment().versions,
  }
}

function parseCase(text: string): CompareCase {
  const refuse = (received: string) =>
    new CoppiceError('INVALID_ARGUMENT', 'not a case', {
      ...{ where: '--case', expected: 'JSON as docs/bench-contenders.md describes it', received },
    })
  let asked: Partial<CompareCase> | null
  try {
    asked = JSON.parse(text)
  } catch {
    throw refuse(text.slice(0, 80))
  }
  if (typeof asked !== 'object' || asked === null) throw refuse(text.slice(0, 80))
  if (typeof asked.kind !== 'string' || !Object.hasOwn(MEASURES, asked.kind)) {
    throw refuse(`kind ${JSON.stringify(asked.kind)}`)
  }
  for (const name of ['op', 'shape', 'sizes', 'tokens', 'dtype', 'threads', 'seconds'] as const) {
    if (asked[name] === undefined) throw refuse(`no ${name}`)
  }
  return asked as CompareCase
}

const MEASURES: Readonly<
  Record<CompareCase['kind'], (asked: CompareCase, isa: string | undefined) => Promise<Measured>>
> = { op: measureOp, head: measureHead, step: measureStep, generate: measureGeneration }

function backendOf({ threads }: CompareCase, isa: string | undefined) {
  return { device: 'cpu', threads, ...(isa !== undefined && { isa }) } as const
}

async function timeOp(kernels: Kernels, op: string, asked: CompareCase): Promise<readonly number[]> {
  const { sizes, dtype, seconds } = asked
  const [once] = await kernels.time(op, sizes, { dtype, repeats: 1, warmup: 1 })
  const repeats = Math.min(MAX_RUNS, Math.max(MIN_RUNS, Math.round(seconds / once!)))
  return [...(await kernels.time(op, sizes, { dtype, repeats, warmup: 0 }))]
}

async function measureOp(asked: CompareCase, isa: string | undefined): Promise<Measured> {
  await using kernels = await Kernels.open(backendOf(asked, isa))
  return { seconds: await timeOp(kernels, asked.op, asked), isa: kernels.info.isa }
}

/** Log-probs, and then both gradients: the sum of the two ops' times. */
async function measureHead(asked: CompareCase, isa: string | undefined): Promise<Measured> {
  await using kernels = await Kernels.open(backendOf(asked, isa))
  const half = { ...asked, seconds: asked.seconds / 2 }
  const forward = await timeOp(kernels, 'head', half)
  const backward = await timeOp(kernels, 'head_backward', half)
  const pairs = Math.min(forward.length, backward.length)
  const seconds = forward.slice(0, pairs).map((time, i) => time + backward[i]!)
  return { seconds, isa: kernels.info.isa }
}

function openPolicy(asked: CompareCase, isa: string | undefined): Promise<Policy> {
  if (asked.config === undefined) {
    throw new CoppiceError('INVALID_ARGUMENT', 'not a case', { where: '--case', expected: 'a config' })
  }
  return Policy.init({ config: asked.config, seed: 1, dtype: asked.dtype, ...backendOf(asked, isa) })
}

async function measureStep(asked: CompareCase, isa: string | undefined): Promise<Measured> {
  await using policy = await openPolicy(asked, isa)
  const { rows, length } = asked.sizes as { rows: number; length: number }
  const batch = trainingRows({
    ...BENCH_MODELS.S,
    batch: rows,
    length: length + 1,
    vocabSize: vocabularyOf(asked),
  })
  const run = () => policy.supervisedStep(batch, { learningRate: 1e-5 })
  return { seconds: await timeRuns(asked.seconds, run), isa: policy.info.isa }
}

async function measureGeneration(asked: CompareCase, isa: string | undefined): Promise<Measured> {
  await using policy = await openPolicy(asked, isa)
  const { prompts, prompt_length, completion_length } = asked.sizes as Record<string, number>
  const rows = promptsOfLength(
    { ...BENCH_MODELS.S, vocabSize: vocabularyOf(asked) },
    prompts!,
    prompt_length!,
  )
  let step = 0
  const run = () =>
    policy.generateAll(rows, {
      ...{ numGenerations: 1, maxCompletionLength: completion_length!, stopTokens: [], step: step++ },
    })
  return { seconds: await timeRuns(asked.seconds, run), isa: policy.info.isa }
}

function vocabularyOf({ config }: CompareCase): number {
  return config?.vocab_size as number
}

/** As many runs as fit into `seconds`, after one that does not count. */
async function timeRuns(seconds: number, run: () => Promise<unknown>): Promise<number[]> {
  await run()
  const times: number[] = []
  const end = performance.now() + 1000 * seconds
  while (times.length < MIN_RUNS || (performance.now() < end && times.length < MAX_RUNS)) {
    const begin = performance.now()
    await run()
    times.push((performance.now() - begin) / 1000)
  }
  return times
}

/** Of this program alone: the kernel's resource usage also counts what the process was before it became this program. */
function peakRssMib(): number {
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
    if (found !== null) return Number(found[1]) / 1024
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS / 1024
}
