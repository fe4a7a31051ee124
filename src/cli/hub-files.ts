import type { Options } from 'yargs'
import {
  createProgressWriter,
  type DataSetFacts,
  inspectDataSet,
  type ModelParts,
  resolveData,
  resolveModel,
  type SnapshotOptions,
} from '../index.ts'
import { formatBytes } from './table.ts'

// Models and data sets that are named by an id of the Hugging Face hub: fetched before any other work begins.

export const REVISION_FLAG = {
  revision: {
    type: 'string',
    describe: 'branch, tag or commit of a --model on the hub [default: main]',
  },
} as const satisfies Record<string, Options>

export const HUB_DATA_FLAGS = {
  subset: { type: 'string', describe: 'subset (config) of a data set on the hub [default: the only one]' },
  split: { type: 'string', describe: 'split of a data set on the hub [default: the only one]' },
  'data-revision': {
    type: 'string',
    describe: 'branch, tag or commit of a data set on the hub [default: main]',
  },
} as const satisfies Record<string, Options>

interface ModelArguments {
  model: string
  revision: string | undefined
}

export interface HubDataArguments {
  subset: string | undefined
  split: string | undefined
  dataRevision?: string | undefined
}

/** The folder of a model: a path as it is, an id fetched. */
export function fetchModel(
  { model, revision }: ModelArguments,
  parts: ModelParts = 'model',
): Promise<string> {
  return withProgress((options) =>
    resolveModel(model, { ...options, parts, ...(revision !== undefined && { revision }) }),
  )
}

/** The files of a data set: a path as it is, an id fetched. */
export function fetchData(data: string, args: HubDataArguments): Promise<string[]> {
  const { subset, split, dataRevision } = args
  return withProgress((options) =>
    resolveData(data, {
      ...options,
      ...(subset !== undefined && { subset }),
      ...(split !== undefined && { split }),
      ...(dataRevision !== undefined && { revision: dataRevision }),
    }),
  )
}

/** What a data set on the hub holds. */
export function fetchDataSetFacts(id: string, revision: string | undefined): Promise<DataSetFacts> {
  return withProgress((options) =>
    inspectDataSet(id, { ...options, ...(revision !== undefined && { revision }) }),
  )
}

async function withProgress<T>(fetch: (options: SnapshotOptions) => Promise<T>): Promise<T> {
  const progress = createProgressWriter()
  try {
    return await fetch({
      onNote: (line) => progress.note(line),
      onProgress: ({ id, file, bytes, totalBytes }) =>
        progress.update({
          label: `fetch ${id}`,
          done: bytes,
          total: totalBytes,
          percent: true,
          figures: { of: formatBytes(totalBytes), file },
        }),
    })
  } finally {
    progress.end()
  }
}
