import { copyFile, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import {
  createProgressWriter,
  LEARNING_RATE_SCHEDULES,
  Policy,
  readSupervisedRows,
  requireWritableFolder,
  sft,
  shuffledBatches,
} from '../index.ts'
import {
  JSON_FLAG,
  loadOptions,
  MICRO_BATCH_FLAGS,
  MODEL_FLAGS,
  microBatchOptions,
  OPTIMIZER_FLAGS,
  optimizerOptions,
  SEED_FLAG,
} from './flags.ts'
import { fetchData, fetchModel, HUB_DATA_FLAGS } from './hub-files.ts'
import { interruptible } from './interrupt.ts'
import { planLine } from './plan-line.ts'
import { defineVerb } from './verb.ts'

export const sftVerb = defineVerb({
  command: 'sft',
  describe: 'maximum likelihood of completions',
  flags: {
    ...MODEL_FLAGS,
    in: {
      type: 'string',
      demandOption: true,
      describe:
        '.jsonl or .arrow file, or an id of the hub: prompt and completion, or prompt_tokens and completion_tokens',
    },
    ...HUB_DATA_FLAGS,
    out: { type: 'string', demandOption: true, describe: 'folder of the new model' },
    steps: { type: 'number', demandOption: true, describe: 'optimiser steps' },
    'batch-rows': { type: 'number', describe: 'rows of a step [default: 32, or all when there are fewer]' },
    'learning-rate': { type: 'number', default: 1e-3, describe: 'peak learning rate' },
    'learning-rate-schedule': {
      choices: LEARNING_RATE_SCHEDULES,
      default: 'constant',
      describe: 'after the warm-up',
    },
    ...OPTIMIZER_FLAGS,
    'save-every': {
      type: 'number',
      default: 0,
      describe: 'a checkpoint every so many steps; 0: when stopped',
    },
    resume: { type: 'boolean', default: false, describe: 'go on with a run that was stopped' },
    ...SEED_FLAG,
    ...MICRO_BATCH_FLAGS,
    ...JSON_FLAG,
  },
  async run(args) {
    requireWritableFolder(args.out)
    const run = join(dirname(args.out), `${basename(args.out)}.run`)
    const model = await fetchModel(args)
    const data = await fetchData(args.in, args)
    await using policy = await Policy.load(loadOptions({ ...args, model }))
    const rows = await readSupervisedRows(data, policy.tokenizer)
    const batchRows = args.batchRows ?? Math.min(32, rows.length)
    const progress = createProgressWriter()
    const work = async (signal: AbortSignal) => {
      let metrics: Readonly<Record<string, number>> = {}
      const steps = sft({
        policy,
        batches: shuffledBatches(rows, batchRows, args.seed),
        steps: args.steps,
        ...optimizerOptions(args),
        out: run,
        resume: args.resume,
        saveEvery: args.saveEvery,
        ...microBatchOptions(args),
        signal,
        onPlan: (rows) => progress.note(planLine(rows)),
      })
      for await (const step of steps) {
        metrics = step.metrics
        const figures = { loss: metrics.loss ?? Number.NaN, entropy: metrics.entropy ?? Number.NaN }
        progress.update({ label: 'sft', done: step.step, total: step.steps, figures })
      }
      progress.end()
      await policy.save(args.out, {
        alongside: (folder) => copyFile(join(run, 'metrics.jsonl'), join(folder, 'metrics.jsonl')),
      })
      await rm(run, { recursive: true })
      if (args.json) console.log(JSON.stringify({ model: args.out, ...metrics }))
      else console.log(`${args.out}: loss ${metrics.loss?.toFixed(4)} after ${args.steps} steps`)
    }
    const code = await interruptible(work, () =>
      progress.note('stopping: the state is saved after this step'),
    )
    if (code !== 0) progress.note(`stopped; the state is in ${run}: the same command with --resume goes on`)
    return code
  },
})
