import { invalidArgument } from './errors.ts'
import { type DataSetFacts, dataSetFacts, fetchDataFiles } from './hub/data-files.ts'
import { fetchModelFiles, type ModelParts } from './hub/model-files.ts'
import { checkedRevision, type RepoReference, type RepoType, repoReferenceOf } from './hub/repo-id.ts'
import { openSnapshot, type SnapshotOptions } from './hub/snapshot.ts'
import { refuseUnknownKeys, requireOneOf } from './options.ts'

// Models and data sets by their ids on the Hugging Face hub: `org/name` becomes files of the usual cache folder.

export type { DataSetFacts, SubsetFacts } from './hub/data-files.ts'
export type { ModelParts } from './hub/model-files.ts'
export { type HubSettings, type HubToken, hubSettings } from './hub/settings.ts'
export type { DownloadProgress, SnapshotOptions } from './hub/snapshot.ts'

/** What of the hub is meant beside an id, and who hears of a download. */
export interface HubOptions extends SnapshotOptions {
  /** A branch, a tag or a commit. Default: what stands behind `@` in the id, else `main`. */
  revision?: string
}

export interface ResolveModelOptions extends HubOptions {
  /** What is needed of the model. Default `model`: everything that `Policy.load` reads. */
  parts?: ModelParts
}

/** Which part of a data set on the hub is read; both may be left out where there is only one, or a default. */
export interface ResolveDataOptions extends HubOptions {
  /** Called "config" on the hub too. */
  subset?: string
  split?: string
}

const HUB_KEYS = ['revision', 'signal', 'onProgress', 'onNote']

/**
 * The folder of a model. A path that exists is returned as it is; `org/name`, `org/name@revision` and `hf://org/name` are fetched
 * from the hub into its cache, those files that are not there yet. INVALID_ARGUMENT, NOT_FOUND, ACCESS_DENIED, UNREACHABLE,
 * DATA_CORRUPT (what came is not what was announced), DISK_FULL.
 */
export async function resolveModel(model: string, options: ResolveModelOptions = {}): Promise<string> {
  refuseUnknownKeys(options, [...HUB_KEYS, 'parts'], 'resolveModel')
  const { revision, parts = 'model', ...snapshotOptions } = options
  requireOneOf(parts, 'resolveModel.parts', ['model', 'tokenizer'])
  const reference = referenceOf(model, 'model', revision)
  if (reference === undefined) return model
  const snapshot = await openSnapshot(reference, snapshotOptions)
  await fetchModelFiles(snapshot, parts)
  await snapshot.keep()
  return snapshot.folder
}

/**
 * The files of a data set, in order. A path of this machine is returned as it is; `org/name`, `org/name@revision` and
 * `hf://datasets/org/name`, with a file's path or a pattern behind it, are fetched from the hub. Errors as of `resolveModel`.
 */
export async function resolveData(data: string, options: ResolveDataOptions = {}): Promise<string[]> {
  refuseUnknownKeys(options, [...HUB_KEYS, 'subset', 'split'], 'resolveData')
  const { revision, subset, split, ...snapshotOptions } = options
  const reference = referenceOf(data, 'dataset', revision)
  if (reference === undefined) {
    refuseForPath(data, { subset, split })
    return [data]
  }
  const snapshot = await openSnapshot(reference, snapshotOptions)
  const paths = await fetchDataFiles(snapshot, { subset, split })
  await snapshot.keep()
  return paths
}

/** The subsets and splits of a data set on the hub, and their sizes. Only its card is fetched. Errors as of `resolveModel`. */
export async function inspectDataSet(id: string, options: HubOptions = {}): Promise<DataSetFacts> {
  refuseUnknownKeys(options, HUB_KEYS, 'inspectDataSet')
  const { revision, ...snapshotOptions } = options
  const reference = referenceOf(id, 'dataset', revision)
  if (reference === undefined || reference.path !== undefined) {
    throw invalidArgument('inspectDataSet', 'the id of a data set on the hub, org/name', id)
  }
  return dataSetFacts(await openSnapshot(reference, snapshotOptions))
}

function referenceOf(text: string, type: RepoType, revision: string | undefined): RepoReference | undefined {
  if (typeof text !== 'string') throw invalidArgument(type, 'a path or an id org/name', text)
  const reference = repoReferenceOf(text, type)
  if (reference === undefined) {
    refuseForPath(text, { revision })
    return undefined
  }
  if (revision === undefined) return reference
  if (reference.revision !== undefined && reference.revision !== revision) {
    throw invalidArgument('revision', `${reference.revision}, as ${text} says`, revision)
  }
  return { ...reference, revision: checkedRevision(revision, 'revision') }
}

/** Options that mean nothing for a path are refused: who gives them believes to read something else. */
function refuseForPath(path: string, options: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined)
      throw invalidArgument(name, `none for a path (${path} is no id of the hub)`, value)
  }
}
