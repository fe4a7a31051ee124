import {
  CoppiceError,
  explain,
  explanationRecord,
  hasOptimizerState,
  int32Column,
  Policy,
  type RolloutBatch,
  readTable,
  type StepOptions,
  takeRows,
} from '../index.ts'
import { explanationText } from './explain/explanation-text.ts'
import {
  JSON_FLAG,
  loadOptions,
  MICRO_BATCH_FLAGS,
  MODEL_FLAGS,
  microBatchOptions,
  OPTIMIZER_FLAGS,
} from './flags.ts'
import { fetchModel } from './hub-files.ts'
import { interruptible } from './interrupt.ts'
import { OBJECTIVE_FLAGS, objectiveSpecOf } from './objective-flags.ts'
import { defineVerb } from './verb.ts'

const { 'warmup-steps': _, ...ADAMW_FLAGS } = OPTIMIZER_FLAGS

export const explainVerb = defineVerb({
  command: 'explain',
  describe: 'what a training step does to the tokens of a rollout, weight by weight and measured',
  flags: {
    ...MODEL_FLAGS,
    in: {
      type: 'string',
      demandOption: true,
      describe: '.jsonl or .arrow file of rollouts with verdicts; all its rows are one optimiser batch',
    },
    row: {
      type: 'number',
      array: true,
      describe: 'rows to show, from 0 [default: the first that the objective keeps]',
    },
    group: { type: 'number', array: true, describe: 'show the rows with these group_ids' },
    alone: {
      type: 'boolean',
      default: false,
      describe: 'learn from the shown rows alone, as if the file held no others',
    },
    ...OBJECTIVE_FLAGS,
    optimizer: {
      choices: ['adamw', 'sgd'],
      default: 'adamw',
      describe: "adamw goes on with the moments in the model's folder, where a run left some",
    },
    'learning-rate': { type: 'number', describe: 'of the step [default: 1e-6 for adamw; sgd needs one]' },
    ...ADAMW_FLAGS,
    top: { type: 'number', describe: 'likeliest tokens shown at each token [default: 5]' },
    'max-tokens': { type: 'number', default: 64, describe: 'tokens shown of a completion; 0: all' },
    temperature: { type: 'number', describe: 'overrides the column temperature' },
    ...MICRO_BATCH_FLAGS,
    ...JSON_FLAG,
  },
  examples: [
    [
      '$0 explain --model base --in judged.arrow --objective nsr --row 3 --learning-rate 1e-4',
      'how a step of nsr moves the tokens of row 3',
    ],
  ],
  async run(args) {
    const objective = objectiveSpecOf(args)
    const optimizer = stepOf(args)
    const batch = await readTable(args.in)
    const rows = rowsToShow(args, batch)
    const model = await fetchModel(args)
    await using policy = await Policy.load(loadOptions({ ...args, model }))
    if (optimizer.kind === 'adamw' && hasOptimizerState(model)) await policy.loadTrainingState(model)
    return await interruptible(async (signal) => {
      const alone = args.alone && rows !== undefined
      const explanation = await explain(policy, alone ? takeRows(batch, rows) : batch, {
        objective,
        optimizer,
        ...(rows !== undefined && { rows: alone ? rows.map((_, i) => i) : rows }),
        ...(args.top !== undefined && { top: args.top }),
        ...(args.maxTokens !== 0 && { maxTokens: args.maxTokens }),
        ...(args.temperature !== undefined && { temperature: args.temperature }),
        ...microBatchOptions(args),
        ...{ signal, source: args.in },
      })
      // Under the numbers of the file.
      if (alone) for (const row of explanation.rows) row.row = rows[row.row]!
      if (args.json) console.log(JSON.stringify(explanationRecord(explanation)))
      else console.log(explanationText(explanation, terminal()))
    })
  },
})

interface StepArguments {
  optimizer: string
  learningRate: number | undefined
  weightDecay: number
  adamBeta1: number
  adamBeta2: number
  adamEpsilon: number
  maxGradNorm: number
}

function stepOf(args: StepArguments): StepOptions {
  const { learningRate, maxGradNorm, weightDecay, adamBeta1, adamBeta2, adamEpsilon } = args
  if (args.optimizer === 'adamw') {
    return {
      ...{ kind: 'adamw', learningRate: learningRate ?? 1e-6, maxGradNorm },
      ...{ weightDecay, adamBeta1, adamBeta2, adamEpsilon },
    }
  }
  const given = { 'weight-decay': weightDecay, 'adam-beta1': adamBeta1, 'adam-beta2': adamBeta2 }
  for (const [flag, value] of Object.entries({ ...given, 'adam-epsilon': adamEpsilon })) {
    if (value !== OPTIMIZER_FLAGS[flag as keyof typeof given].default) {
      throw new CoppiceError('INVALID_ARGUMENT', 'sgd has no such thing', { where: `--${flag}` })
    }
  }
  if (learningRate === undefined) {
    throw new CoppiceError('INVALID_ARGUMENT', 'sgd needs a learning rate', {
      where: '--learning-rate',
      expected: 'a number such as 0.1',
    })
  }
  return { kind: 'sgd', learningRate, maxGradNorm }
}

interface RowArguments {
  row: number[] | undefined
  group: number[] | undefined
  alone: boolean
}

/** The rows that are named, each once; undefined where none are. */
function rowsToShow({ row, group, alone }: RowArguments, batch: RolloutBatch): number[] | undefined {
  if (row === undefined && group === undefined) {
    if (!alone) return undefined
    throw new CoppiceError('INVALID_ARGUMENT', 'no rows are named', {
      where: '--alone',
      expected: '--row or --group',
    })
  }
  for (const [flag, named] of Object.entries({ row, group })) {
    if (named?.length !== 0) continue
    throw new CoppiceError('INVALID_ARGUMENT', 'no value', {
      where: `--${flag}`,
      expected: 'one number or more',
    })
  }
  const rows = new Set<number>()
  for (const named of row ?? []) {
    if (!Number.isInteger(named) || named < 0 || named >= batch.numRows) {
      throw new CoppiceError('INVALID_ARGUMENT', 'no such row', {
        where: '--row',
        expected: batch.numRows === 0 ? 'a file that has rows' : `0 to ${batch.numRows - 1}`,
        received: String(named),
      })
    }
    rows.add(named)
  }
  const groups = group === undefined ? new Int32Array(0) : int32Column(batch, 'group_id')
  for (const named of group ?? []) {
    if (!groups.includes(named)) throw noSuchGroup(named, groups)
    for (let index = 0; index < groups.length; index++) if (groups[index] === named) rows.add(index)
  }
  return [...rows]
}

function noSuchGroup(named: number, groups: Int32Array): CoppiceError {
  const ids = [...new Set(groups)]
  const more = ids.length > 8 ? `, ... (${ids.length} groups)` : ''
  return new CoppiceError('INVALID_ARGUMENT', 'no row has this group_id', {
    where: '--group',
    expected: ids.length === 0 ? 'a file that has rows' : `one of ${ids.slice(0, 8).join(', ')}${more}`,
    received: String(named),
  })
}

function terminal(): { width: number; colour: boolean } {
  const { isTTY, columns } = process.stdout
  return isTTY
    ? { width: columns, colour: process.stdout.hasColors() }
    : { width: Number.POSITIVE_INFINITY, colour: false }
}
