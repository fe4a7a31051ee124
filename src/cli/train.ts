import {
  CoppiceError,
  Critic,
  concatBatches,
  createProgressWriter,
  LEARNING_RATE_SCHEDULES,
  Policy,
  readPrompts,
  readTable,
  requireRunnable,
  type TrainProgress,
  type TrainStep,
  train,
  valueModelOf,
} from '../index.ts'
import { clockNote } from './clock-note.ts'
import { COLUMN_FLAGS, columnOptions, DATA_FORMATS, dataOptions, ROW_FLAGS } from './data-flags.ts'
import {
  criticOptions,
  JSON_FLAG,
  LIVE_SEQUENCES_FLAG,
  loadOptions,
  MICRO_BATCH_FLAGS,
  MODEL_FLAGS,
  microBatchOptions,
  OPTIMIZER_FLAGS,
  optimizerOptions,
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
import { OBJECTIVE_FLAGS, objectiveOf } from './objective-flags.ts'
import { planLine } from './plan-line.ts'
import { PRESET_FLAG, trainPreset } from './preset-flags.ts'
import { defineVerb } from './verb.ts'

export const trainVerb = defineVerb({
  command: 'train',
  describe: 'reinforcement learning with verifiable rewards',
  defaults: trainPreset,
  flags: {
    ...PRESET_FLAG,
    ...MODEL_FLAGS,
    prompts: { type: 'string', describe: `prompts and references, ${DATA_FORMATS}` },
    rollouts: {
      type: 'string',
      array: true,
      describe: '.arrow or .jsonl files of rollouts to learn from, in place of --prompts',
    },
    ...COLUMN_FLAGS,
    ...ROW_FLAGS,
    ...HUB_DATA_FLAGS,
    ...VERIFIER_FLAGS,
    out: { type: 'string', demandOption: true, describe: 'folder of the run' },
    ...OBJECTIVE_FLAGS,
    steps: { type: 'number', default: 100, describe: 'rollout batches' },
    'prompts-per-step': { type: 'number', default: 32, describe: 'prompts of a rollout batch' },
    'num-generations': { type: 'number', default: 8, describe: 'completions of a prompt' },
    'async-steps': {
      type: 'number',
      default: 0,
      describe: '1: samples a step before the update of the one before it, and judges it meanwhile',
    },
    'refill-rounds': {
      type: 'number',
      default: 0,
      describe: 'rounds in which other prompts replace those that --filter-groups leaves out',
    },
    ...TEMPLATE_FLAGS,
    ...SAMPLING_FLAGS,
    'mini-batch-rows': {
      type: 'number',
      describe: 'rows of an optimiser batch [default: all that are kept]',
    },
    'num-iterations': { type: 'number', default: 1, describe: 'passes over a rollout batch' },
    'learning-rate': { type: 'number', default: 1e-6, describe: 'peak learning rate' },
    'learning-rate-schedule': {
      choices: LEARNING_RATE_SCHEDULES,
      default: 'constant',
      describe: 'after the warm-up',
    },
    ...OPTIMIZER_FLAGS,
    reference: {
      type: 'string',
      describe:
        'folder or id of the reference policy of --beta; org/name@revision names a revision [default: --model]',
    },
    'reference-update-every': {
      type: 'number',
      default: 0,
      describe: 'moves the reference policy to the policy after every so many steps; 0: never',
    },
    'reference-mixing': {
      type: 'number',
      default: 1,
      describe: 'how far it is moved, as a share of the way',
    },
    critic: {
      type: 'string',
      describe:
        'ppo: folder or id of the model that the critic begins as; org/name@revision names a revision [default: --model]',
    },
    'eval-prompts': {
      type: 'string',
      describe: 'prompts for greedy evaluation; the column flags hold for them too, the row flags do not',
    },
    'eval-subset': {
      type: 'string',
      describe: 'subset of --eval-prompts on the hub [default: the only one]',
    },
    'eval-split': { type: 'string', describe: 'split of --eval-prompts on the hub [default: the only one]' },
    'eval-every': { type: 'number', default: 0, describe: 'greedy evaluation every so many steps; 0: none' },
    'save-every': { type: 'number', default: 0, describe: 'a checkpoint every so many steps; 0: at the end' },
    'keep-checkpoints': { type: 'number', default: 2, describe: 'how many of the newest stay' },
    resume: { type: 'boolean', default: false, describe: 'go on from the newest checkpoint in --out' },
    ...SEED_FLAG,
    ...MICRO_BATCH_FLAGS,
    ...LIVE_SEQUENCES_FLAG,
    ...JSON_FLAG,
  },
  examples: [
    [
      '$0 train --model base --prompts train.jsonl --verifier countdown --objective nsr --out runs/nsr',
      'learn from wrong answers only',
    ],
  ],
  async run(args) {
    const objective = objectiveOf(args)
    const valueModel = valueModelOf(objective)
    if (args.critic !== undefined && valueModel !== 'separate') {
      throw new CoppiceError('INVALID_ARGUMENT', 'a critic without use', {
        where: '--critic',
        expected: '--objective ppo with --value-model separate',
      })
    }
    const model = await fetchModel(args)
    const needsReference = (args.beta ?? 0) > 0
    const referenceModel =
      needsReference && args.reference !== undefined
        ? await fetchModel({ model: args.reference, revision: undefined })
        : model
    const criticModel =
      args.critic === undefined ? model : await fetchModel({ model: args.critic, revision: undefined })
    const rollouts = await readRollouts(args)
    const data = args.prompts === undefined ? undefined : await fetchData(args.prompts, args)
    const evalData =
      args.evalPrompts === undefined
        ? undefined
        : await fetchData(args.evalPrompts, { subset: args.evalSubset, split: args.evalSplit })
    const template = await templateOf({ ...args, model })
    await using policy = await Policy.load({
      ...loadOptions({ ...args, model }),
      valueHead: valueModel === 'shared',
    })
    await using critic =
      valueModel === 'separate' ? await Critic.load(criticOptions({ ...args, model: criticModel })) : null
    await using reference = needsReference
      ? await Policy.load(loadOptions({ ...args, model: referenceModel }))
      : null
    const prompts = data && (await readPrompts(data, policy.tokenizer, { ...dataOptions(args), template }))
    const evalPrompts =
      evalData === undefined
        ? undefined
        : await readPrompts(evalData, policy.tokenizer, { ...columnOptions(args), template })
    requireRunnable(policy, [...(prompts ?? []), ...(evalPrompts ?? [])], args.maxCompletionLength)
    const progress = createProgressWriter()
    let last: TrainStep | undefined
    let shown: Record<string, number> = {}
    let clockVerdicts = 0
    const work = async (signal: AbortSignal) => {
      const steps = train({
        policy,
        ...(prompts && { prompts }),
        ...(rollouts && { rollouts }),
        verifier: verifierOf(args),
        verify: verifyOptions(args),
        objective,
        out: args.out,
        steps: args.steps,
        promptsPerStep: args.promptsPerStep,
        numGenerations: args.numGenerations,
        refillRounds: args.refillRounds,
        asyncSteps: args.asyncSteps,
        ...samplingOptions(args, policy),
        miniBatchRows: args.miniBatchRows ?? null,
        numIterations: args.numIterations,
        ...optimizerOptions(args),
        evalEvery: args.evalEvery,
        ...(evalPrompts && { evalPrompts }),
        ...(reference && { reference }),
        referenceUpdateEvery: args.referenceUpdateEvery,
        referenceMixing: args.referenceMixing,
        ...(critic && { critic }),
        saveEvery: args.saveEvery,
        keepCheckpoints: args.keepCheckpoints,
        resume: args.resume,
        seed: args.seed,
        ...microBatchOptions(args),
        maxLiveSequences: args.maxLiveSequences,
        signal,
        onPlan: (rows) => progress.note(planLine(rows)),
        onProgress: (state) =>
          progress.update({ label: 'train', done: stepsDone(state), total: state.steps, figures: shown }),
      })
      for await (const step of steps) {
        last = step
        clockVerdicts += step.metrics.clock_verdicts ?? 0
        shown = liveFigures(step.metrics)
        progress.update({ label: 'train', done: step.step, total: step.steps, figures: shown })
      }
      progress.end()
      if (clockVerdicts > 0) console.error(clockNote(clockVerdicts))
      if (last === undefined) console.error(`${args.out}: all ${args.steps} steps were done before`)
      else if (args.json)
        console.log(JSON.stringify({ run: args.out, checkpoint: last.checkpoint, ...last.metrics }))
      else console.log(`${last.checkpoint}: ${figuresText(shown)}`)
    }
    const code = await interruptible(work, () =>
      progress.note('stopping: the state is being saved (again: stop at once)'),
    )
    if (code !== 0) progress.note(`stopped; the same command with --resume goes on in ${args.out}`)
    return code
  },
})

/** The files of --rollouts as one batch; refuses them beside prompts, and the lack of both. */
async function readRollouts(args: { prompts?: string | undefined; rollouts?: string[] | undefined }) {
  if ((args.prompts === undefined) === (args.rollouts === undefined)) {
    throw new CoppiceError('INVALID_ARGUMENT', 'no rollouts to learn from, or too many', {
      expected: 'either --prompts or --rollouts',
      received: args.prompts === undefined ? 'neither' : 'both',
    })
  }
  return args.rollouts && concatBatches(await Promise.all(args.rollouts.map(readTable)))
}

/** Sampling is most of a step's time, updates most of the rest: enough for a bar that moves within long steps. */
const PHASE_BEGINS = { generate: 0, verify: 0.6, update: 0.65, evaluate: 0.95, save: 1 }
const PHASE_SHARES = { generate: 0.6, verify: 0.05, update: 0.3, evaluate: 0.05, save: 0 }

function stepsDone({ step, phase, share }: TrainProgress): number {
  return step - 1 + PHASE_BEGINS[phase] + PHASE_SHARES[phase] * share
}

function liveFigures(metrics: Readonly<Record<string, number>>): Record<string, number> {
  const names = ['reward', 'accuracy', 'entropy', 'kept_rows', 'greedy_accuracy']
  return Object.fromEntries(
    names.flatMap((name) => (metrics[name] === undefined ? [] : [[name, metrics[name]]])),
  )
}

function figuresText(figures: Record<string, number>): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${Number.isInteger(value) ? value : value.toFixed(3)}`)
    .join(', ')
}
