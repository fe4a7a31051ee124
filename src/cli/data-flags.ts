import type { Options } from 'yargs'
import {
  BAD_ROW_POLICIES,
  type BadRowPolicy,
  dataExtensions,
  type PromptOptions,
  skippedText,
} from '../index.ts'

// Flags of the verbs that read data sets, and how they become options.

/** The formats, for describing a flag that takes a data file. */
export const DATA_FORMATS = `${dataExtensions.slice(0, -1).join(', ')} or ${dataExtensions.at(-1)}, or an id of the hub: org/name`

export const COLUMN_FLAGS = {
  'prompt-column': {
    type: 'string',
    describe: 'column with the prompt, text or chat messages [default: by known layouts]',
  },
  'messages-column': { type: 'string', describe: 'column with chat messages, a list or its JSON' },
  'reference-column': {
    type: 'string',
    describe: 'column with the reference; a path like reward_model.ground_truth may lead into nested values',
  },
  'id-column': { type: 'string', describe: 'column with an id of the prompt [default: the row number]' },
} as const satisfies Record<string, Options>

export const ROW_FLAGS = {
  filter: {
    type: 'string',
    array: true,
    describe: "read rows with 'column=value' or 'column!=value'; may be repeated, all have to hold",
  },
  'on-bad-row': {
    choices: BAD_ROW_POLICIES,
    default: 'stop',
    describe: 'a row that cannot be used ends the run, or is skipped and counted',
  },
  limit: { type: 'number', describe: 'read so many rows at most, behind filters and shuffle' },
  'shuffle-seed': { type: 'number', describe: "seed of the rows' order [default: as in the file]" },
} as const satisfies Record<string, Options>

interface ColumnArguments {
  promptColumn: string | undefined
  messagesColumn: string | undefined
  referenceColumn: string | undefined
  idColumn: string | undefined
}

interface RowArguments {
  filter: string[] | undefined
  onBadRow: BadRowPolicy
  limit: number | undefined
  shuffleSeed: number | undefined
}

/** How a further file is read: the same columns and the same care, but all of its rows. */
export function columnOptions(args: ColumnArguments & Pick<RowArguments, 'onBadRow'>): PromptOptions {
  const { promptColumn, messagesColumn, referenceColumn, idColumn, onBadRow } = args
  return {
    ...(promptColumn !== undefined && { promptColumn }),
    ...(messagesColumn !== undefined && { messagesColumn }),
    ...(referenceColumn !== undefined && { referenceColumn }),
    ...(idColumn !== undefined && { idColumn }),
    onBadRow,
    onSkipped: (skipped) => console.error(skippedText(skipped)),
  }
}

export function dataOptions(args: ColumnArguments & RowArguments): PromptOptions {
  const { filter, limit, shuffleSeed } = args
  return {
    ...columnOptions(args),
    ...(filter !== undefined && { filters: filter }),
    ...(limit !== undefined && { limit }),
    ...(shuffleSeed !== undefined && { shuffleSeed }),
  }
}
