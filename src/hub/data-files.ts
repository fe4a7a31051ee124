import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { isDataExtension } from '../data-formats.ts'
import { CoppiceError } from '../errors.ts'
import { nearest } from '../options.ts'
import { cardConfigs } from './card.ts'
import { cardSubsets, folderSubset, namedSubsets, type Subset } from './data-layout.ts'
import { matchingPaths } from './glob.ts'
import type { Snapshot } from './snapshot.ts'

export interface DataChoice {
  /** A part of the data set, its "config". */
  subset: string | undefined
  split: string | undefined
}

/** What a data set holds, as its card or the names of its files tell. */
export interface DataSetFacts {
  id: string
  commit: string
  subsets: SubsetFacts[]
}

export interface SubsetFacts {
  name: string
  splits: { name: string; files: number; bytes: number }[]
}

const CARD = 'README.md'
const MAX_CARD_BYTES = 8 * 2 ** 20
const SHOWN = 20

/** Chooses the files of a data set by subset and split, fetches them, and gives their paths in order. */
export async function fetchDataFiles(snapshot: Snapshot, choice: DataChoice): Promise<string[]> {
  const chosen = await chosenPaths(snapshot, choice)
  const other = chosen.find((path) => !isDataExtension(extname(path)))
  if (other !== undefined) throw noData(snapshot, `${other} has a format that is not read`)
  requireAllShards(snapshot, chosen)
  return snapshot.fetch(chosen)
}

/** What there is to choose from; of the files only the card is fetched. */
export async function dataSetFacts(snapshot: Snapshot): Promise<DataSetFacts> {
  const { reference, commit, files } = snapshot
  const paths = [...files.keys()].sort()
  const subsets = await subsetsOf(snapshot, paths)
  if (subsets.length === 0) throw noData(snapshot, 'no data files that coppice reads')
  const splitFacts = (name: string, chosen: readonly string[]) => ({
    name,
    files: chosen.length,
    bytes: chosen.reduce((sum, path) => sum + files.get(path)!.bytes, 0),
  })
  return {
    id: reference.id,
    commit,
    subsets: subsets.map(({ name, splits }) => ({
      name,
      splits: [...splits].map(([split, expand]) => splitFacts(split, expand())),
    })),
  }
}

async function chosenPaths(snapshot: Snapshot, choice: DataChoice): Promise<string[]> {
  const { reference, files } = snapshot
  const paths = [...files.keys()].sort()
  if (reference.path !== undefined) return pathsUnder(snapshot, reference.path, paths, choice)
  const subsets = await subsetsOf(snapshot, paths)
  if (subsets.length === 0) throw noData(snapshot, 'no data files that coppice reads')
  const subset = subsetOf(subsets, choice.subset, reference.text)
  const chosen = splitOf(subset, choice.split, reference.text)
  if (chosen.length > 0) return chosen
  throw noData(snapshot, `no file fits the card's patterns of subset '${subset.name}'`)
}

async function subsetsOf(snapshot: Snapshot, paths: readonly string[]): Promise<Subset[]> {
  const card = snapshot.files.get(CARD)
  if (card !== undefined && card.bytes <= MAX_CARD_BYTES) {
    const [path] = await snapshot.fetch([CARD])
    const where = `${snapshot.reference.text}, ${CARD}`
    const configs = cardConfigs(await readFile(path!, 'utf8'), where)
    if (configs.length > 0) return cardSubsets(configs, paths, where)
  }
  return namedSubsets(paths)
}

/** A file of the repository, a pattern for several, or a folder. */
function pathsUnder(
  snapshot: Snapshot,
  pattern: string,
  paths: readonly string[],
  choice: DataChoice,
): string[] {
  const { text } = snapshot.reference
  if (choice.subset !== undefined) {
    throw new CoppiceError('INVALID_ARGUMENT', 'a subset beside a path', {
      where: text,
      expected: 'one of the two',
    })
  }
  const folder = pattern.replace(/\/+$/, '')
  const matches = snapshot.files.has(folder) ? [folder] : matchingPaths(folder, paths, text)
  if (matches.length > 0) {
    if (choice.split === undefined) return matches
    throw new CoppiceError('INVALID_ARGUMENT', 'a split beside a file', {
      where: text,
      expected: 'one of the two',
    })
  }
  const within = paths.filter((path) => path.startsWith(`${folder}/`))
  if (within.length === 0) throw noData(snapshot, `no file ${JSON.stringify(pattern)}`)
  return splitOf(folderSubset(within, folder), choice.split, text)
}

function subsetOf(subsets: readonly Subset[], wanted: string | undefined, where: string): Subset {
  const names = subsets.map(({ name }) => name)
  if (wanted === undefined) {
    const standard = subsets.filter(({ isDefault }) => isDefault)
    if (subsets.length === 1) return subsets[0]!
    if (standard.length === 1) return standard[0]!
  }
  const found = subsets.find(({ name }) => name === wanted)
  if (found !== undefined) return found
  throw choiceError('subset', wanted, names, where)
}

function splitOf({ name, splits }: Subset, wanted: string | undefined, where: string): string[] {
  const names = [...splits.keys()]
  const split = wanted ?? (names.length === 1 ? names[0] : undefined)
  const expand = split === undefined ? undefined : splits.get(split)
  if (expand !== undefined) return expand()
  throw choiceError('split', wanted, names, name === 'default' ? where : `${where}, subset ${name}`)
}

function choiceError(
  what: 'subset' | 'split',
  wanted: string | undefined,
  names: readonly string[],
  where: string,
): CoppiceError {
  const message = wanted === undefined ? `a data set with several ${what}s` : `no ${what} '${wanted}'`
  const near = wanted === undefined ? undefined : nearest(wanted, names)
  const others = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : ''
  const hint = near === undefined ? '' : ` (did you mean '${near}'?)`
  return new CoppiceError(wanted === undefined ? 'INVALID_ARGUMENT' : 'NOT_FOUND', message, {
    where,
    expected: `one of the ${what}s ${names.slice(0, SHOWN).join(', ')}${others}${hint}`,
  })
}

/** Shards say how many they are: a cache that another tool filled may lack some. */
function requireAllShards({ reference }: Snapshot, paths: readonly string[]): void {
  const counts = new Map<string, { expected: number; found: number }>()
  for (const path of paths) {
    const [, stem, total, extension] = /^(.*)-\d{5}-of-(\d{5})(\.\w+)$/.exec(path) ?? []
    if (stem === undefined) continue
    const key = `${stem}-*-of-${total}${extension}`
    const count = counts.get(key) ?? { expected: Number(total), found: 0 }
    count.found++
    counts.set(key, count)
  }
  for (const [name, { expected, found }] of counts) {
    if (found === expected) continue
    throw new CoppiceError('NOT_FOUND', 'not all shards are there', {
      where: `${reference.text}, ${name}`,
      expected: `${expected} files`,
      received: String(found),
    })
  }
}

function noData({ reference, files, commit }: Snapshot, message: string): CoppiceError {
  const names = [...files.keys()].filter((name) => !name.startsWith('.'))
  const script = names.find((name) => /^[^/]+\.py$/.test(name))
  const hint =
    script === undefined
      ? ''
      : `; ${script} is a loading script, which is never run: the hub's conversion may be there under revision refs/convert/parquet`
  return new CoppiceError('NOT_FOUND', message, {
    where: `${reference.text}, commit ${commit.slice(0, 10)}`,
    expected: '.parquet, .jsonl, .json, .csv or .arrow files',
    received: `${names.slice(0, SHOWN).join(', ') || 'no files'}${names.length > SHOWN ? ' ...' : ''}${hint}`,
  })
}
