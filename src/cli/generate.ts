import { createProgressWriter, Policy, readPrompts, requireRunnable, writeTable } from '../index.ts'
import { COLUMN_FLAGS, DATA_FORMATS, dataOptions, ROW_FLAGS } from './data-flags.ts'
import {
  JSON_FLAG,
  LIVE_SEQUENCES_FLAG,
  loadOptions,
  MODEL_FLAGS,
  SAMPLING_FLAGS,
  SEED_FLAG,
  samplingOptions,
  TEMPLATE_FLAGS,
  templateOf,
} from './flags.ts'
import { fetchData, fetchModel, HUB_DATA_FLAGS } from './hub-files.ts'
import { interruptible } from './interrupt.ts'
import { requireTablePath } from './table-path.ts'
import { defineVerb } from './verb.ts'

export const generateVerb = defineVerb({
  command: 'generate',
  describe: 'prompts -> rollouts',
  flags: {
    ...MODEL_FLAGS,
    in: {
      type: 'string',
      demandOption: true,
      describe: `prompts, ${DATA_FORMATS}`,
    },
    ...COLUMN_FLAGS,
    ...ROW_FLAGS,
    ...HUB_DATA_FLAGS,
    out: { type: 'string', demandOption: true, describe: 'rollouts, .jsonl or .arrow' },
    'num-generations': { type: 'number', default: 8, describe: 'completions of a prompt' },
    ...TEMPLATE_FLAGS,
    ...SAMPLING_FLAGS,
    entropies: { type: 'boolean', default: false, describe: 'record the entropy at each token too' },
    ...SEED_FLAG,
    step: { type: 'number', default: 0, describe: 'second part of the key of the sampling noise' },
    ...LIVE_SEQUENCES_FLAG,
    ...JSON_FLAG,
  },
  async run(args) {
    requireTablePath(args.out)
    const model = await fetchModel(args)
    const data = await fetchData(args.in, args)
    const template = await templateOf({ ...args, model })
    await using policy = await Policy.load(loadOptions({ ...args, model }))
    const prompts = await readPrompts(data, policy.tokenizer, { ...dataOptions(args), template })
    requireRunnable(policy, prompts, args.maxCompletionLength)
    const progress = createProgressWriter()
    return await interruptible(async (signal) => {
      const begin = performance.now()
      let tokens = 0
      const rollouts = await policy.generateAll(prompts, {
        numGenerations: args.numGenerations,
        ...samplingOptions(args, policy),
        entropies: args.entropies,
        seed: args.seed,
        step: args.step,
        maxLiveSequences: args.maxLiveSequences,
        signal,
        onProgress: ({ groups, finishedGroups, generatedTokens, liveSequences }) => {
          tokens = generatedTokens
          const figures = { tokens, live: liveSequences }
          progress.update({ label: 'generate', done: finishedGroups, total: groups, figures })
        },
      })
      progress.end()
      await writeTable(args.out, [rollouts])
      const seconds = (performance.now() - begin) / 1000
      const result = {
        out: args.out,
        rows: rollouts.numRows,
        tokens,
        tokens_per_second: Math.round(tokens / seconds),
      }
      if (args.json) console.log(JSON.stringify(result))
      else
        console.log(
          `${args.out}: ${result.rows} rows, ${tokens} tokens, ${result.tokens_per_second} tokens/s`,
        )
    })
  },
})
