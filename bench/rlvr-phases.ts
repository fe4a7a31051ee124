import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { textTable } from '../src/cli/table.ts'
import {
  defaultConfig,
  demonstrationBatches,
  environment,
  loadTask,
  Policy,
  quantileOf,
  readExperimentSettings,
  readMetrics,
  sft,
  Tokenizer,
  train,
} from '../src/index.ts'

// Where the time of a step of reinforcement learning goes: generate, verify, update. Trains with the quick experiment's settings
// from a base policy of few steps, or reads the metrics of a run that is there.
//
//   node --import tsx bench/rlvr-phases.ts [--steps 40] [--threads N] [--metrics RUN/metrics.jsonl] [--max-share P] [--json]
//
// What counts as verification and JavaScript: the wall time of a step in which the engine makes no token step, no forward or backward
// pass, no optimiser step and no score. That is every wait for a verdict, all making of batches and weights, all writing but checkpoints',
// and every way from the engine's thread to JavaScript's and back. An evaluation is no part of a step.
// What is done while the engine computes does not count, but takes its cores from it where it has no others: on Linux the script
// therefore also tells the processor time of the thread that runs JavaScript, whether the engine computed or not.
// --max-share: exit code 1 where the median step's share is larger than so many percent. A median, because a step in which something else
// took the machine says nothing.

const { values: flags } = parseArgs({
  options: {
    steps: { type: 'string', default: '40' },
    threads: { type: 'string' },
    metrics: { type: 'string' },
    'max-share': { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

function wholeNumber(name: string, text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 1) return number
  throw new Error(`--${name}: expected a whole number from 1, received ${text}`)
}

/** Steps whose rollouts look like the real ones: long enough that most completions end by themselves. */
const BASE_STEPS = 300
type Row = Readonly<Record<string, unknown>>

/** Milliseconds for which this thread has had a processor; undefined where the system does not say. */
function threadMs(): number | undefined {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6
  } catch {
    return undefined
  }
}

const seconds = (row: Row, phase: string) => Number(row[`seconds/${phase}`] ?? 0)

/** The metrics of a short run with the settings of experiments/quick.json, and JavaScript's processor time a step. */
async function shortRun(steps: number): Promise<{ rows: Row[]; javascriptMs: number | undefined }> {
  const settings = await readExperimentSettings(
    new URL('../experiments/quick.json', import.meta.url).pathname,
  )
  const arm = settings.arms[0]!
  const task = await loadTask(settings.task, { ...settings.taskOptions, ...arm.pool.taskOptions })
  const tokenizer = Tokenizer.fromDefinition(task.tokenizer)
  const config = defaultConfig({
    ...settings.model,
    vocabSize: tokenizer.vocabSize,
    maxPositions: task.maxPromptLength + task.maxCompletionLength,
    ...(tokenizer.eosTokenId !== undefined && { eosTokenId: tokenizer.eosTokenId }),
  })
  const { seed, batchRows, steps: _, ...optimizer } = settings.base
  const threads = flags.threads === undefined ? {} : { threads: wholeNumber('threads', flags.threads) }
  await using policy = await Policy.init({ config, tokenizer, seed, ...threads })
  const batches = demonstrationBatches(task, batchRows, seed)
  for await (const _step of sft({ ...optimizer, policy, batches, steps: BASE_STEPS }));
  const prompts = task
    .prompts('train', arm.pool.prompts, arm.pool.seed)
    .map((row) => ({ ...row, promptTokens: tokenizer.encode(row.prompt) }))
  const out = await mkdtemp(join(tmpdir(), 'coppice-phases-'))
  try {
    const rows: Row[] = []
    let begin: number | undefined
    const run = train({
      ...{ ...settings.training, evalEvery: 0, policy, prompts, verifier: task.verifier },
      ...{ objective: { kind: 'w-reinforce', lambda: 0.1 }, out, steps, seed: 1 },
      maxCompletionLength: task.maxCompletionLength,
    })
    for await (const { metrics } of run) {
      rows.push(metrics)
      if (rows.length === 1) begin = threadMs()
    }
    const end = threadMs()
    const javascriptMs =
      begin === undefined || end === undefined ? undefined : (end - begin) / (rows.length - 1)
    return { rows, javascriptMs }
  } finally {
    await rm(out, { recursive: true })
  }
}

// Read before anything is trained.
const maxShare = flags['max-share'] === undefined ? undefined : wholeNumber('max-share', flags['max-share'])
const { rows, javascriptMs } =
  flags.metrics === undefined
    ? await shortRun(wholeNumber('steps', flags.steps) + 1)
    : { rows: await readMetrics(flags.metrics), javascriptMs: undefined }
// The first step also makes masters and moments, and compiles JavaScript.
const counted = rows.slice(1).filter((row) => seconds(row, 'step') > 0)
if (counted.length === 0) throw new Error('expected at least two steps with their seconds')
const total = (phase: string) => counted.reduce((sum, row) => sum + seconds(row, phase), 0)
const whole = total('step') - total('evaluate')
const engine = total('generate_engine') + total('score') + total('update_engine')
const parts: Readonly<Record<string, number>> = {
  'generate: engine': total('generate_engine'),
  'generate: JavaScript': total('generate') - total('generate_engine'),
  verify: total('verify'),
  score: total('score'),
  'update: engine': total('update_engine'),
  'update: JavaScript': total('update') - total('update_engine'),
  between: whole - total('generate') - total('verify') - total('score') - total('update'),
}
const overhead = (whole - engine) / whole
const shareOf = (row: Row) => {
  const wall = seconds(row, 'step') - seconds(row, 'evaluate')
  const engine = seconds(row, 'generate_engine') + seconds(row, 'score') + seconds(row, 'update_engine')
  return (wall - engine) / wall
}
const shares = Array.from(counted, shareOf)
const [p20, p50, p80] = [0.2, 0.5, 0.8].map((p) => quantileOf(shares, p)) as [number, number, number]
const stepMs = (1000 * whole) / counted.length
if (flags.json) {
  const partShares = Object.fromEntries(Object.entries(parts).map(([part, time]) => [part, time / whole]))
  const { commit, machine } = environment()
  console.log(
    JSON.stringify({
      ...{ steps: counted.length, step_ms: stepMs, shares: partShares, overhead },
      overhead_of_steps: { p20, p50, p80 },
      ...(javascriptMs !== undefined && { javascript_cpu_ms: javascriptMs }),
      ...{ commit, machine },
    }),
  )
} else {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`
  const lines = Object.entries(parts).map(([part, time]) => [
    part,
    `${((1000 * time) / counted.length).toFixed(2)} ms`,
    percent(time / whole),
  ])
  console.log(textTable([['part', 'a step', 'share'], ...lines], 'left'))
  console.log(
    `${counted.length} steps of ${stepMs.toFixed(1)} ms; verification and JavaScript together ${percent(overhead)} of all, ` +
      `${percent(p50)} of the median step (${percent(p20)} to ${percent(p80)} of the middle three in five)`,
  )
  if (javascriptMs !== undefined) {
    console.log(
      `processor time of JavaScript, beside the engine's work or not: ${javascriptMs.toFixed(1)} ms a step`,
    )
  }
  console.log(`checkpoints beside them: ${(1000 * total('save')).toFixed(0)} ms`)
}
if (maxShare !== undefined && 100 * p50 > maxShare) {
  console.error(`verification and JavaScript together: at most ${maxShare} % of the median step allowed`)
  process.exitCode = 1
}
