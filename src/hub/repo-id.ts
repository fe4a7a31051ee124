import { existsSync } from 'node:fs'
import { extname } from 'node:path'
import { isDataExtension } from '../data-formats.ts'
import { CoppiceError } from '../errors.ts'

export type RepoType = 'model' | 'dataset'

/** A repository of the hub, at a revision, and what of it is meant. */
export interface RepoReference {
  type: RepoType
  /** `org/name`. */
  id: string
  /** A branch, a tag or a commit; undefined where the text names none. */
  revision: string | undefined
  /** A file of the repository, or a pattern for several; data sets only. */
  path: string | undefined
  /** As the caller wrote it. */
  text: string
}

export const KIND_WORDS = { model: 'model', dataset: 'data set' } as const

const PREFIX = 'hf://'
const NAME = '[A-Za-z0-9](?:[\\w.-]{0,94}\\w)?'
const PLAIN = new RegExp(`^(${NAME}/${NAME})(?:@(.+))?$`)
/** Revisions with a slash that are the hub's own; others are written with %2F where a path follows. */
const SLASHED_REVISION = /^(refs\/(?:pr|convert)\/[^/]+|[^/]+)(?:\/(.*))?$/

/**
 * What a text that names a model or a data set means on the hub; undefined where it is a path of this machine. Whatever
 * exists here is meant. Else `org/name` and `org/name@revision` are ids, unless the name ends like a data file's; `hf://org/name`
 * (`hf://datasets/org/name` for data, a file's path may follow) always is.
 */
export function repoReferenceOf(text: string, type: RepoType): RepoReference | undefined {
  if (text.startsWith(PREFIX)) return parseUri(text, type)
  if (existsSync(text)) return undefined
  const match = PLAIN.exec(text)
  if (match === null) return undefined
  const [, id = '', revision] = match
  if (type === 'dataset' && isDataExtension(extname(id))) return undefined
  if (!isRepoId(id)) return undefined
  return {
    type,
    id,
    revision: revision === undefined ? undefined : checkedRevision(revision, text),
    path: undefined,
    text,
  }
}

/** Refuses what could not be a git revision: it becomes part of addresses and of a file's name. */
export function checkedRevision(revision: string, where: string): string {
  const parts = revision.split('/')
  const isSafe =
    revision.length <= 255 &&
    /^[\w./+-]+$/.test(revision) &&
    parts.every((part) => part !== '' && !part.startsWith('.') && !part.endsWith('.lock')) &&
    !revision.startsWith('-') &&
    !revision.includes('..')
  if (isSafe) return revision
  throw new CoppiceError('INVALID_ARGUMENT', 'not a revision', {
    where,
    expected: 'a branch, a tag or a commit',
    received: JSON.stringify(revision),
  })
}

function isRepoId(id: string): boolean {
  return id.length <= 96 && !id.includes('--') && !id.includes('..') && !id.endsWith('.git')
}

function parseUri(text: string, type: RepoType): RepoReference {
  const expected =
    type === 'model'
      ? 'hf://org/name or hf://org/name@revision'
      : 'hf://datasets/org/name, @revision and /path may follow'
  const refused = () =>
    new CoppiceError('INVALID_ARGUMENT', `not the address of a ${KIND_WORDS[type]} on the hub`, {
      where: text,
      expected,
    })
  let rest = text.slice(PREFIX.length)
  const isDataset = rest.startsWith('datasets/')
  if (isDataset !== (type === 'dataset')) throw refused()
  if (isDataset) rest = rest.slice('datasets/'.length)
  const match = new RegExp(`^(${NAME}/${NAME})(?:@(.+)|/(.*))?$`).exec(rest)
  const id = match?.[1] ?? ''
  if (match === null || !isRepoId(id)) throw refused()
  const [, , afterAt, afterId] = match
  // Nothing can stand behind a model's revision.
  const split = type === 'model' ? [afterAt, afterAt] : SLASHED_REVISION.exec(afterAt ?? '')
  const [, slashed, afterRevision] = split ?? []
  const path = (afterAt === undefined ? afterId : afterRevision) || undefined
  if (type === 'model' && path !== undefined) throw refused()
  if (afterAt !== undefined && slashed === undefined) throw refused()
  const revision = slashed === undefined ? undefined : checkedRevision(decodeSlashes(slashed), text)
  return { type, id, revision, path, text }
}

function decodeSlashes(revision: string): string {
  return revision.replaceAll(/%2f/gi, '/')
}
