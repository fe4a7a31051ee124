import { extname } from 'node:path'
import { DATA_EXTENSIONS, isDataExtension } from '../data-formats.ts'
import type { CardConfig } from './card.ts'
import { matchingPaths } from './glob.ts'

/** A part of a data set: the files of each of its splits. */
export interface Subset {
  name: string
  isDefault: boolean
  splits: ReadonlyMap<string, () => string[]>
}

const SPLIT_WORDS: Readonly<Record<string, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'val', 'dev'],
  test: ['test', 'testing', 'eval', 'evaluation'],
}
/** JSON beside the data that is about them. */
const ABOUT = ['dataset_infos.json', 'dataset_info.json', 'dataset_dict.json', 'state.json', 'config.json']
/** Names that number files without naming a split. */
const NUMBERED = ['data', 'part', 'file', 'shard', 'chunk', 'batch', 'dataset']
const SHARD = /^(.+)-\d{5}-of-\d{5}$/

/** What a data set's card says it holds. */
export function cardSubsets(
  configs: readonly CardConfig[],
  paths: readonly string[],
  where: string,
): Subset[] {
  return configs.map(({ name, isDefault, patterns, folder }) => {
    const prefix = folder === undefined || folder === '' ? '' : `${folder}/`
    const within = paths.filter((path) => path.startsWith(prefix))
    const expand = (split: string, list: readonly string[]) => () => [
      ...new Set(
        list.flatMap((pattern) => matchingPaths(`${prefix}${pattern}`, within, `${where}, split ${split}`)),
      ),
    ]
    const splits =
      patterns === undefined
        ? splitsOf(dataPaths(within), prefix)
        : new Map([...patterns].map(([split, list]) => [split, expand(split, list)]))
    return { name, isDefault, splits }
  })
}

/** What a data set without such a card seems to hold, from the names of files and folders. */
export function namedSubsets(paths: readonly string[]): Subset[] {
  const bySubset = new Map<string, string[]>()
  for (const path of dataPaths(paths)) {
    const name = subsetOf(path)
    const list = bySubset.get(name)
    if (list === undefined) bySubset.set(name, [path])
    else list.push(path)
  }
  return [...bySubset].map(([name, list]) => ({
    name,
    isDefault: name === 'default',
    splits: splitsOf(list, ''),
  }))
}

/** The files of a folder of a data set, as if it were one. */
export function folderSubset(paths: readonly string[], folder: string): Subset {
  return { name: folder, isDefault: true, splits: splitsOf(dataPaths(paths), `${folder}/`) }
}

function dataPaths(paths: readonly string[]): string[] {
  const isHidden = (part: string) => part.startsWith('.') || part.startsWith('_')
  return paths.filter((path) => {
    const parts = path.split('/')
    return isDataExtension(extname(path)) && !ABOUT.includes(parts.at(-1)!) && !parts.some(isHidden)
  })
}

function splitsOf(paths: readonly string[], prefix: string): Map<string, () => string[]> {
  const format = DATA_EXTENSIONS.find((extension) => paths.some((path) => path.endsWith(extension)))
  const bySplit = new Map<string, string[]>()
  for (const path of paths.filter((each) => format !== undefined && each.endsWith(format))) {
    const split = splitOf(path.slice(prefix.length))
    bySplit.set(split, [...(bySplit.get(split) ?? []), path])
  }
  return new Map([...bySplit].map(([split, list]) => [split, () => list.sort()]))
}

function splitOf(path: string): string {
  const parts = path.split('/')
  const name = parts.pop()!.slice(0, -extname(path).length)
  const prefix = SHARD.exec(name)?.[1]
  const named = splitWordIn(name)
  if (named !== undefined) return named
  if (prefix !== undefined && !NUMBERED.includes(prefix.toLowerCase())) return prefix
  for (const folder of parts.reverse()) {
    const word = splitWordIn(folder)
    if (word !== undefined) return word
  }
  return 'train'
}

function splitWordIn(name: string): string | undefined {
  for (const word of name.toLowerCase().split(/[^a-z]+/)) {
    for (const [split, words] of Object.entries(SPLIT_WORDS)) if (words.includes(word)) return split
  }
  return undefined
}

/** The folders above a file, without those that only say `data` or a split. */
function subsetOf(path: string): string {
  const folders = path.split('/').slice(0, -1)
  if (folders[0] === 'data') folders.shift()
  while (folders.length > 0 && Object.values(SPLIT_WORDS).flat().includes(folders.at(-1)!.toLowerCase()))
    folders.pop()
  return folders.join('/') || 'default'
}
