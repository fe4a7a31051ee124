import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CoppiceError,
  expectedThroughput,
  machineMemory,
  type PlanMemoryOptions,
  type PlanRow,
  planMemory,
  processRow,
  readJsonObject,
  totalBytes,
} from '../index.ts'
import { EXIT_BAD_INPUT } from './exit-codes.ts'
import {
  BACKEND_FLAGS,
  backendOptions,
  JSON_FLAG,
  LIVE_SEQUENCES_FLAG,
  MICRO_BATCH_FLAGS,
  microBatchOptions,
} from './flags.ts'
import { fetchModel, REVISION_FLAG } from './hub-files.ts'
import { PRESET_FLAG, trainPreset } from './preset-flags.ts'
import { formatBytes, formatCount, textTable } from './table.ts'
import { defineVerb } from './verb.ts'

const GIB = 2 ** 30

const FLAGS = {
  ...PRESET_FLAG,
  model: {
    type: 'string',
    demandOption: true,
    describe: 'model folder, its config.json, or an id of the hub: nothing but the config is read',
  },
  ...REVISION_FLAG,
  ...BACKEND_FLAGS,
  'prompts-per-step': { type: 'number', default: 32, describe: 'prompts of a rollout batch' },
  'num-generations': { type: 'number', default: 8, describe: 'completions of a prompt' },
  'max-completion-length': {
    type: 'number',
    describe: 'most tokens of a completion [default: 256, or what the model has room for]',
  },
  'longest-prompt': {
    type: 'number',
    describe: 'tokens of the longest prompt [default: 1024, or what the model has room for]',
  },
  ...LIVE_SEQUENCES_FLAG,
  ...MICRO_BATCH_FLAGS,
  'value-model': {
    choices: ['separate', 'shared'],
    describe: 'of objective ppo: a critic of its own, or a value head on the policy [default: no critic]',
  },
  'memory-gib': { type: 'number', describe: 'memory to fit into [default: that of this machine]' },
  measure: {
    type: 'boolean',
    default: true,
    describe: 'time products for the expected tokens a second; --no-measure does not',
  },
  ...JSON_FLAG,
} as const

export const planVerb = defineVerb({
  command: 'plan',
  describe: 'memory by class and expected tokens a second of a training run, before anything is loaded',
  flags: FLAGS,
  defaults: (given) =>
    Object.fromEntries(Object.entries(trainPreset(given)).filter(([flag]) => Object.hasOwn(FLAGS, flag))),
  examples: [['$0 plan --preset paper-qwen2.5-math-7b', 'what the protocol of the paper needs here']],
  async run(args) {
    const { rawConfig, path } = await readConfig(args)
    if (args.memoryGib !== undefined && !(args.memoryGib > 0)) {
      throw new CoppiceError('INVALID_ARGUMENT', 'not an amount of memory', {
        where: '--memory-gib',
        expected: 'a number above 0',
        received: String(args.memoryGib),
      })
    }
    const positions = Number(rawConfig.max_position_embeddings)
    const maxCompletionLength =
      args.maxCompletionLength ?? Math.max(1, Math.min(256, positions - (args.longestPrompt ?? 1)))
    const longestPrompt = args.longestPrompt ?? Math.max(1, Math.min(1024, positions - maxCompletionLength))
    if (longestPrompt + maxCompletionLength > positions) {
      throw new CoppiceError('INVALID_ARGUMENT', 'longer than the model', {
        where: '--longest-prompt and --max-completion-length',
        expected: `${positions} tokens together at most, the model's max_position_embeddings`,
        received: `${longestPrompt} and ${maxCompletionLength}`,
      })
    }
    const options: PlanMemoryOptions = {
      config: rawConfig,
      ...backendOptions(args),
      promptsPerStep: args.promptsPerStep,
      ...microBatchOptions(args),
      numGenerations: args.numGenerations,
      maxCompletionLength,
      maxLiveSequences: args.maxLiveSequences,
      longestPrompt,
      ...(args.valueModel !== undefined && { valueModel: args.valueModel as 'separate' }),
    }
    const ownRow = processRow()
    const rows = [...planMemory(options), ownRow]
    const total = totalBytes(rows)
    const memory = args.memoryGib === undefined ? machineMemory().totalBytes : args.memoryGib * GIB
    const fits = total <= memory
    const advice = fits ? undefined : adviceFor(options, ownRow, memory)
    const throughput = args.measure
      ? await expectedThroughput(rawConfig, {
          ...backendOptions(args),
          liveSequences: args.maxLiveSequences,
        })
      : undefined
    const longestStep = args.promptsPerStep * args.numGenerations * maxCompletionLength
    const stepSeconds =
      throughput === undefined
        ? undefined
        : longestStep / throughput.generate + longestStep / throughput.train
    const plan = {
      model: path,
      dtype: args.dtype,
      memory_bytes: Object.fromEntries(rows.map(({ what, bytes }) => [what, bytes])),
      total_bytes: total,
      available_bytes: memory,
      fits,
      ...(advice !== undefined && { advice }),
      ...(throughput !== undefined && {
        generate_tokens_per_second: Math.round(throughput.generate),
        train_tokens_per_second: Math.round(throughput.train),
        longest_step_seconds: Math.round(stepSeconds!),
      }),
    }
    if (args.json) console.log(JSON.stringify(plan))
    else {
      console.log(
        textTable([
          ...rows.map(({ what, bytes }) => [what, formatBytes(bytes)]),
          ['total', formatBytes(total)],
          [args.memoryGib === undefined ? 'this machine has' : 'to fit into', formatBytes(memory)],
        ]),
      )
      if (throughput !== undefined) {
        const [generate, train] = [throughput.generate, throughput.train].map((rate) =>
          formatCount(Number(rate.toPrecision(2))),
        )
        console.log(
          `about ${generate} tokens/s sampled and ${train} trained, by the products alone; a step whose completions are all of full length: ${durationText(stepSeconds!)}`,
        )
      }
    }
    if (advice === undefined) return
    console.error(`coppice plan: it does not fit: ${formatBytes(total)} of ${formatBytes(memory)}; ${advice}`)
    return EXIT_BAD_INPUT
  },
})

async function readConfig(args: { model: string; revision: string | undefined }) {
  const isFile = await stat(args.model).then(
    (entry) => entry.isFile(),
    () => false,
  )
  const path = isFile ? args.model : join(await fetchModel(args, 'tokenizer'), 'config.json')
  return { path, rawConfig: readJsonObject(path) }
}

/** What to change, one after the other, until the plan fits; each only where it helps. */
function adviceFor(options: PlanMemoryOptions, ownRow: PlanRow, memory: number): string {
  const totalOf = (work: PlanMemoryOptions) => totalBytes([...planMemory(work), ownRow])
  const longestRow = options.longestPrompt + options.maxCompletionLength!
  const knobs: [flag: string, change: Partial<PlanMemoryOptions>][] = [
    ['--dtype bf16', { dtype: 'bf16' }],
    ['--activation-checkpointing layer', { activationCheckpointing: 'layer' }],
    ...[1024, 512, 256].map((budget): [string, Partial<PlanMemoryOptions>] => [
      `--token-budget ${budget}`,
      { tokenBudget: budget },
    ]),
    ...[64, 16, 4].map((live): [string, Partial<PlanMemoryOptions>] => [
      `--max-live-sequences ${live}`,
      { maxLiveSequences: live },
    ]),
    ...[2, 4, 8].map((divisor): [string, Partial<PlanMemoryOptions>] => {
      const length = Math.max(1, Math.floor(options.maxCompletionLength! / divisor))
      return [`--max-completion-length ${length}`, { maxCompletionLength: length }]
    }),
  ]
  let tried = options
  let total = totalOf(options)
  const taken = new Map<string, string>()
  for (const [flag, change] of knobs) {
    const next = { ...tried, ...change }
    const bytes = totalOf(next)
    if (bytes >= total) continue
    tried = next
    total = bytes
    taken.set(flag.split(' ')[0]!, flag)
    if (total <= memory) return `${[...taken.values()].join(' ')} would make it ${formatBytes(total)}`
  }
  return `not even ${[...taken.values()].join(' ') || `rows shorter than ${longestRow} tokens`} would do (${formatBytes(total)}): a smaller model, or more memory`
}

function durationText(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(0)} s`
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`
  return `${(seconds / 3600).toFixed(1)} h`
}
