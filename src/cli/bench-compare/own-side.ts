import { CoppiceError, environment, Kernels, Policy } from '../../index.ts'
import { trainingRows } from '../bench/model-shapes.ts'
import { peakRssMib } from '../bench/peak-rss.ts'
import { timeGenerations, timeSteps } from '../bench/policy-work.ts'
import { timesOfOp } from '../bench/time-op.ts'
import type { Timing } from '../bench/time-runs.ts'
import type { CompareCase } from './cases.ts'
import type { MeasuredLine } from './contender-line.ts'

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
> = { op: measureOp, head: measureOp, step: measureStep, generate: measureGeneration }

function backendOf({ threads }: CompareCase, isa: string | undefined) {
  return { device: 'cpu', threads, ...(isa !== undefined && { isa }) } as const
}

function timeOp(kernels: Kernels, op: string, { sizes, dtype, seconds }: CompareCase): Promise<number[]> {
  return timesOfOp(kernels, op, sizes, dtype, { repeats: MAX_RUNS, seconds })
}

async function measureOp(asked: CompareCase, isa: string | undefined): Promise<Measured> {
  await using kernels = await Kernels.open(backendOf(asked, isa))
  return { seconds: await timeOp(kernels, asked.op, asked), isa: kernels.info.isa }
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
  const batch = trainingRows(policy.config.vocabSize, rows, length)
  return { seconds: await timeSteps(policy, batch, timingOf(asked)), isa: policy.info.isa }
}

async function measureGeneration(asked: CompareCase, isa: string | undefined): Promise<Measured> {
  await using policy = await openPolicy(asked, isa)
  const { prompts, prompt_length, completion_length } = asked.sizes as Record<string, number>
  const sampled = {
    ...{ prompts: prompts!, samples: 1 },
    ...{ promptLength: prompt_length!, completionLength: completion_length! },
  }
  return { seconds: await timeGenerations(policy, sampled, timingOf(asked)), isa: policy.info.isa }
}

function timingOf({ seconds }: CompareCase): Timing {
  return { repeats: MAX_RUNS, seconds }
}
