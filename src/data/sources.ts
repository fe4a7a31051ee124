import { stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { invalidArgument } from '../errors.ts'
import { resolveData } from '../hub.ts'

/** Data: a file, an id of the Hugging Face hub, or several files that are read as one. */
export type DataSource = string | readonly string[]

/** Which part of a data set on the hub is read. For progress, and to cancel a download, call `resolveData` first. */
export interface HubDataOptions {
  /** A branch, a tag or a commit. Default: what stands behind `@` in the id, else `main`. */
  revision?: string
  /** Called "config" on the hub too. Default: the only one, or the one that the data set calls its default. */
  subset?: string
  /** Default: the only one. */
  split?: string
}

/** Files that are read one after the other as if they were one. */
export interface DataFiles {
  paths: readonly string[]
  /** What errors name. */
  label: string
}

export async function dataFilesOf(
  source: DataSource,
  { revision, subset, split }: HubDataOptions,
): Promise<DataFiles> {
  const chosen = {
    ...(revision !== undefined && { revision }),
    ...(subset !== undefined && { subset }),
    ...(split !== undefined && { split }),
  }
  const paths = typeof source === 'string' ? await resolveData(source, chosen) : source
  if (paths.length === 0) throw invalidArgument('data', 'at least one file', source)
  if (paths !== source) return { paths, label: labelOf(paths) }
  const [name] = Object.keys(chosen)
  if (name !== undefined) throw invalidArgument(name, 'none beside a list of files', Object.values(chosen)[0])
  return { paths, label: labelOf(paths) }
}

/** A row's place in its file, with the file's name where there are several. */
export function placeIn(path: string, place: string, { paths }: DataFiles): string {
  return paths.length === 1 ? place : `${basename(path)}, ${place}`
}

export async function sizeOfFiles({ paths }: DataFiles): Promise<number> {
  let bytes = 0
  for (const path of paths) bytes += (await stat(path)).size
  return bytes
}

function labelOf(paths: readonly string[]): string {
  return paths.length === 1 ? paths[0]! : dirname(paths[0]!)
}
