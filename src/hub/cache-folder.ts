import { randomBytes } from 'node:crypto'
import {
  copyFile,
  lstat,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { CoppiceError } from '../errors.ts'
import type { RepoReference } from './repo-id.ts'

const COMMIT = /^[0-9a-f]{40}$/

export function isCommit(text: unknown): text is string {
  return typeof text === 'string' && COMMIT.test(text)
}

/** A file of a repository at one commit. */
export interface RepoFile {
  /** Relative to the repository's root, with slashes. */
  path: string
  bytes: number
  /** Name of its blob in the cache, and its checksum: SHA-256 of a large file (LFS), else git's SHA-1. */
  etag: string
}

/**
 * A repository's folder in the cache, laid out as Python's huggingface_hub does: `blobs/<etag>` hold the bytes,
 * `refs/<revision>` a commit, `snapshots/<commit>/<path>` links to blobs. Beside them, `coppice/<commit>.json` is the
 * commit's list of files, so that what is complete is known without the network.
 */
export class CacheFolder {
  readonly path: string
  readonly blobs: string

  constructor(cacheFolder: string, { type, id }: RepoReference) {
    this.path = join(cacheFolder, [`${type}s`, ...id.split('/')].join('--'))
    this.blobs = join(this.path, 'blobs')
  }

  snapshot(commit: string): string {
    return join(this.path, 'snapshots', commit)
  }

  /** The commit that a revision had when it was last complete; undefined where it never was. */
  async readRef(revision: string): Promise<string | undefined> {
    const text = (await readIfThere(join(this.path, 'refs', revision)))?.trim()
    return isCommit(text) ? text : undefined
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    if ((await this.readRef(revision)) === commit) return
    const path = join(this.path, 'refs', revision)
    await mkdir(dirname(path), { recursive: true })
    await place(path, (fresh) => writeFile(fresh, commit))
  }

  async readListing(commit: string): Promise<RepoFile[] | undefined> {
    const text = await readIfThere(this.#listing(commit))
    try {
      const files: unknown = text === undefined ? undefined : JSON.parse(text)
      return Array.isArray(files) ? checkedFiles(files, this.#listing(commit)) : undefined
    } catch {
      // A damaged list is as good as none.
      return undefined
    }
  }

  async writeListing(commit: string, files: readonly RepoFile[]): Promise<void> {
    const path = this.#listing(commit)
    await mkdir(dirname(path), { recursive: true })
    await place(path, (fresh) => writeFile(fresh, JSON.stringify(files)))
  }

  /** The files of a snapshot that are here, whoever fetched them. */
  async cachedFiles(commit: string): Promise<RepoFile[]> {
    const root = this.snapshot(commit)
    const names = await readdir(root, { recursive: true }).catch(() => [])
    const files: RepoFile[] = []
    for (const name of names) {
      const found = await stat(join(root, name)).catch(() => undefined)
      if (found?.isFile()) files.push({ path: name.split(sep).join('/'), bytes: found.size, etag: '' })
    }
    return files
  }

  /**
   * Whether a file of a snapshot is here, in its whole length. DATA_CORRUPT where it leads out of the repository's folder: a
   * cache may come from somebody else.
   */
  async holds(commit: string, file: RepoFile): Promise<boolean> {
    const path = join(this.snapshot(commit), file.path)
    const target = await realpath(path).catch(() => undefined)
    if (target === undefined) return false
    const homes = await Promise.all(
      [this.path, this.blobs].map((home) => realpath(home).catch(() => undefined)),
    )
    if (!homes.some((home) => home !== undefined && target.startsWith(home + sep))) {
      throw new CoppiceError('DATA_CORRUPT', 'a link out of the cache', {
        where: path,
        expected: `a file in ${this.path}`,
        received: target,
      })
    }
    const found = await stat(target)
    return found.isFile() && found.size === file.bytes
  }

  /** Puts a blob under its name into a snapshot. */
  async link(commit: string, { path: name, etag }: RepoFile): Promise<void> {
    const path = join(this.snapshot(commit), name)
    const blob = join(this.blobs, etag)
    await this.#makeFolders(dirname(path))
    const existing = await lstat(path).catch(() => undefined)
    if (existing?.isDirectory()) throw clash(path)
    await place(path, (fresh) =>
      symlink(relative(dirname(path), blob), fresh).catch(() => copyFile(blob, fresh)),
    )
  }

  /** Makes folders one by one: a link among them could lead elsewhere, and would not be noticed. */
  async #makeFolders(folder: string): Promise<void> {
    const parts = relative(this.path, folder).split(sep)
    let path = this.path
    await mkdir(path, { recursive: true })
    for (const part of parts) {
      path = join(path, part)
      await mkdir(path).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'EEXIST') throw cause
      })
      const found = await lstat(path)
      if (!found.isDirectory()) throw clash(path)
    }
  }

  #listing(commit: string): string {
    return join(this.path, 'coppice', `${commit}.json`)
  }
}

/** Files of a listing, with names and sizes that can be trusted. */
export function checkedFiles(entries: readonly unknown[], where: string): RepoFile[] {
  return entries.map((entry) => {
    const { path, bytes, etag } = (entry ?? {}) as Record<string, unknown>
    if (typeof path !== 'string' || !isSafePath(path)) {
      throw new CoppiceError('DATA_CORRUPT', 'a file name that leads elsewhere', {
        where,
        expected: 'a path inside the repository',
        received: JSON.stringify(path)?.slice(0, 200) ?? 'none',
      })
    }
    if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0 || bytes > MAX_FILE_BYTES) {
      throw new CoppiceError('DATA_CORRUPT', 'a size that no file has', {
        where: `${where}, ${path}`,
        expected: `0 to ${MAX_FILE_BYTES} bytes`,
        received: String(bytes).slice(0, 40),
      })
    }
    if (typeof etag !== 'string' || !/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) {
      throw new CoppiceError('DATA_CORRUPT', 'a file without a checksum', { where: `${where}, ${path}` })
    }
    return { path, bytes, etag }
  })
}

/** The hub takes files of 500 GB at most. */
const MAX_FILE_BYTES = 2 ** 40

/** What git can hold, and no operating system takes for another place. */
function isSafePath(path: string): boolean {
  const isBad = (part: string) => part === '' || part === '.' || part === '..' || part.length > 255
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return path.length <= 1024 && !/[\0-\x1f\x7f\\]/.test(path) && !path.split('/').some(isBad)
}

/** Another process may be doing the same: what is made under a name of its own takes the other's place in one step. */
async function place(path: string, make: (fresh: string) => Promise<void>): Promise<void> {
  const fresh = join(dirname(path), `.${randomBytes(6).toString('hex')}`)
  try {
    await make(fresh)
    await rename(fresh, path)
  } finally {
    await rm(fresh, { force: true })
  }
}

function clash(path: string): CoppiceError {
  return new CoppiceError('DATA_CORRUPT', 'a file and a folder of the same name', { where: path })
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return undefined
    throw cause
  }
}
