import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { CoppiceError } from '../errors.ts'

/**
 * Makes a folder that is there in whole or not at all: `fill` writes into a folder beside it, which takes its name when
 * everything is on the disk. An empty folder of that name is replaced; one that is not empty only with `overwrite`, and only
 * if it is a model folder, since everything in it goes.
 */
export async function writeFolder(
  directory: string,
  overwrite: boolean,
  fill: (partial: string) => Promise<void>,
): Promise<void> {
  requireWritableFolder(directory, overwrite)
  const path = resolve(directory)
  const beside = (word: string) => join(dirname(path), `.${basename(path)}.${word}`)
  const partial = beside('partial')
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  try {
    await fill(partial)
    for (const name of readdirSync(partial)) sync(join(partial, name))
    sync(partial)
    requireWritableFolder(directory, overwrite)
    const replaced = beside('replaced')
    rmSync(replaced, { recursive: true, force: true })
    if (isFilled(path)) renameSync(path, replaced)
    renameSync(partial, path)
    sync(dirname(path))
    rmSync(replaced, { recursive: true, force: true })
  } catch (error) {
    rmSync(partial, { recursive: true, force: true })
    throw error
  }
}

/** What writeFolder would refuse; for a caller who wants to know before long work. INVALID_ARGUMENT. */
export function requireWritableFolder(directory: string, overwrite = false): void {
  if (!isFilled(directory)) return
  const replaceable = overwrite && existsSync(join(directory, 'config.json'))
  if (replaceable) return
  throw new CoppiceError('INVALID_ARGUMENT', 'the folder exists and is not empty', {
    where: directory,
    expected: overwrite ? 'a new or empty folder, or a model folder to overwrite' : 'a new or empty folder',
  })
}

/** Makes a file that is there in whole or not at all; an old one of that name stays until the new one is complete. */
export async function writeFile(path: string, fill: (partial: string) => Promise<void>): Promise<void> {
  const partial = join(dirname(path), `.${basename(path)}.partial`)
  rmSync(partial, { force: true })
  try {
    await fill(partial)
    sync(partial)
    renameSync(partial, path)
    sync(dirname(path))
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  }
}

function isFilled(directory: string): boolean {
  try {
    return readdirSync(directory).length > 0
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw new CoppiceError('INVALID_ARGUMENT', 'not a folder that can be written', {
      where: directory,
      cause: error,
    })
  }
}

function sync(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
