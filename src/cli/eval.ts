import {
  createProgressWriter,
  type Evaluation,
  evaluate,
  evaluationRecord,
  type PassAtKTable,
  Policy,
  readPrompts,
  requireRunnable,
  requireWritableFolder,
} from '../index.ts'
import { clockNote } from './clock-note.ts'
import { COLUMN_FLAGS, DATA_FORMATS, dataOptions, ROW_FLAGS } from './data-flags.ts'
import {
  JSON_FLAG,
  loadOptions,
  MODEL_FLAGS,
  SAMPLING_FLAGS,
  SEED_FLAG,
  samplingOptions,
  TEMPLATE_FLAGS,
  templateOf,
  VERIFIER_FLAGS,
  verifierOf,
  verifyOptions,
} from './flags.ts'
import { fetchData, fetchModel, HUB_DATA_FLAGS } from './hub-files.ts'
import { interruptible } from './interrupt.ts'
import { evalPreset, PRESET_FLAG } from './preset-flags.ts'
import { formatPercent, textTable } from './table.ts'
import { defineVerb } from './verb.ts'

export const evalVerb = defineVerb({
  command: 'eval',
  describe: 'pass@k, majority@k, greedy accuracy and entropy on held-out prompts',
  defaults: evalPreset,
  flags: {
    ...PRESET_FLAG,
    ...MODEL_FLAGS,
    in: { type: 'string', demandOption: true, describe: `held-out prompts, ${DATA_FORMATS}` },
    ...COLUMN_FLAGS,
    ...ROW_FLAGS,
    ...HUB_DATA_FLAGS,
    ...VERIFIER_FLAGS,
    n: { type: 'number', default: 256, describe: 'completions of a prompt' },
    k: { type: 'number', array: true, describe: 'the ks of pass@k [default: 1, 2, 4 ... n]' },
    out: {
      type: 'string',
      demandOption: true,
      describe: 'folder for passk.json, evaluation.json and rollouts.arrow',
    },
    greedy: { type: 'boolean', default: true, describe: 'judge a greedy completion of each prompt too' },
    rollouts: { type: 'boolean', default: true, describe: 'keep the rollouts; --no-rollouts does not' },
    ...TEMPLATE_FLAGS,
    ...SAMPLING_FLAGS,
    ...SEED_FLAG,
    ...JSON_FLAG,
  },
  async run(args) {
    requireWritableFolder(args.out)
    const model = await fetchModel(args)
    const data = await fetchData(args.in, args)
    const template = await templateOf({ ...args, model })
    await using policy = await Policy.load(loadOptions({ ...args, model }))
    const prompts = await readPrompts(data, policy.tokenizer, { ...dataOptions(args), template })
    requireRunnable(policy, prompts, args.maxCompletionLength)
    const progress = createProgressWriter()
    return await interruptible(async (signal) => {
      const evaluation = await evaluate({
        policy,
        prompts,
        verifier: verifierOf(args),
        verify: verifyOptions(args),
        n: args.n,
        ...(args.k !== undefined && { ks: args.k }),
        ...samplingOptions(args, policy),
        seed: args.seed,
        greedy: args.greedy,
        out: args.out,
        keepRollouts: args.rollouts,
        signal,
        onProgress: (done, total) => progress.update({ label: 'eval', done, total }),
      })
      progress.end()
      console.log(args.json ? JSON.stringify(evaluationRecord(evaluation)) : evaluationText(evaluation))
    })
  },
})

function evaluationText(evaluation: Evaluation): string {
  const { prompts, n, greedyAccuracy } = evaluation
  const rows = [
    ['', 'k', 'mean', '95 % interval'],
    ...tableRows('pass@k', evaluation.passAtK),
    ...tableRows('majority@k', evaluation.majorityAtK),
  ]
  const interval = (value: { mean: number; low: number; high: number }) =>
    `${formatPercent(value.mean)} (${formatPercent(value.low)} to ${formatPercent(value.high)})`
  const facts = [
    `${prompts} prompts, ${n} completions of each; percentages, intervals over prompts`,
    textTable(rows),
    greedyAccuracy === null ? '' : `greedy accuracy ${interval(greedyAccuracy)}`,
    `distinct right answers a prompt ${evaluation.distinctRight.mean.toFixed(2)}`,
    `entropy ${evaluation.entropy.toFixed(3)} nats a token, mean length ${evaluation.meanLength.toFixed(1)} tokens`,
    `unparsed ${formatPercent(evaluation.unparsedRate)}, timed out ${formatPercent(evaluation.timedOutRate)}`,
    clockNote(evaluation.clockVerdicts),
  ]
  return facts.filter((line) => line !== '').join('\n')
}

function tableRows(name: string, table: PassAtKTable): string[][] {
  return Object.entries(table).map(([k, { mean, low, high }], i) => [
    i === 0 ? name : '',
    k,
    formatPercent(mean),
    `${formatPercent(low)} to ${formatPercent(high)}`,
  ])
}
