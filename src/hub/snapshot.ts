import { join } from 'node:path'
import { CoppiceError } from '../errors.ts'
import { CacheFolder, checkedFiles, isCommit, type RepoFile } from './cache-folder.ts'
import { fetchBlob } from './download.ts'
import { corruptAnswer, type HubRequest, hubJsonFetch, isUnreachable, pathHint } from './hub-fetch.ts'
import { KIND_WORDS, type RepoReference } from './repo-id.ts'
import { hubSettings } from './settings.ts'

/** How far the files of a model or a data set have come. */
export interface DownloadProgress {
  /** `org/name`. */
  id: string
  /** The file that is being fetched. */
  file: string
  bytes: number
  /** Of all files that are needed and were not in the cache. */
  totalBytes: number
}

export interface SnapshotOptions {
  signal?: AbortSignal
  onProgress?: (progress: DownloadProgress) => void
  /** Hears what is worth a line: that the hub cannot be reached, and what is used instead. */
  onNote?: (line: string) => void
}

const MAX_FILES = 100_000
/** A page of a listing may be empty, and name a next one. */
const MAX_PAGES = 200
const PROGRESS_INTERVAL_MS = 100

/** Where the list of a commit's files is from; what is only known by being in the cache is all that there is. */
type ListOrigin = 'hub' | 'list in the cache' | 'cached files'

/** The files of a repository at one commit, fetched when they are asked for. */
export class Snapshot {
  readonly reference: RepoReference
  readonly commit: string
  /** The folder that looks like the repository. */
  readonly folder: string
  /** Of the commit; without the network, of what the cache has of it. */
  readonly files: ReadonlyMap<string, RepoFile>
  readonly #cache: CacheFolder
  readonly #request: HubRequest
  readonly #options: SnapshotOptions
  readonly #origin: ListOrigin

  constructor(
    request: HubRequest,
    cache: CacheFolder,
    commit: string,
    files: readonly RepoFile[],
    origin: ListOrigin,
    options: SnapshotOptions,
  ) {
    this.reference = request.reference
    this.commit = commit
    this.folder = cache.snapshot(commit)
    this.files = new Map(files.map((file) => [file.path, file]))
    this.#cache = cache
    this.#request = request
    this.#options = options
    this.#origin = origin
  }

  /** Makes sure that these files are in the folder, and gives their paths. They have to be among `files`. */
  async fetch(paths: readonly string[]): Promise<string[]> {
    const missing: RepoFile[] = []
    for (const file of paths.map((path) => this.files.get(path)!)) {
      if (!(await this.#cache.holds(this.commit, file))) missing.push(file)
    }
    if (missing.length > 0) await this.#download(missing)
    return paths.map((path) => join(this.folder, path))
  }

  async #download(missing: readonly RepoFile[]): Promise<void> {
    const { settings, reference } = this.#request
    if (settings.offline || this.#origin === 'cached files') {
      const names = missing.slice(0, 3).map(({ path }) => path)
      throw notCached(this.#request, `${names.join(', ')}${missing.length > 3 ? ' ...' : ''}`)
    }
    const totalBytes = missing.reduce((sum, { bytes }) => sum + bytes, 0)
    let before = 0
    let toldAt = Number.NEGATIVE_INFINITY
    let told = -1
    for (const file of missing) {
      const tell = (bytes: number) => {
        const isLast = before + bytes === totalBytes
        const isDue = isLast ? told < totalBytes : performance.now() - toldAt >= PROGRESS_INTERVAL_MS
        if (!isDue) return
        toldAt = performance.now()
        told = before + bytes
        this.#options.onProgress?.({ id: reference.id, file: file.path, bytes: before + bytes, totalBytes })
      }
      const [folder, request, url] = [this.#cache, this.#request, this.#addressOf(file)]
      await fetchBlob({ folder, file, url, request, onBytes: tell })
      await this.#cache.link(this.commit, file)
      before += file.bytes
      tell(0)
    }
  }

  #addressOf({ path }: RepoFile): string {
    const { settings, reference } = this.#request
    const root = `${settings.endpoint}/${reference.type === 'dataset' ? 'datasets/' : ''}${reference.id}`
    return `${root}/resolve/${this.commit}/${path.split('/').map(encodeURIComponent).join('/')}`
  }

  /** Remembers the commit's files, and that the revision is this commit: for when all that is needed of it is in the cache. */
  async keep(): Promise<void> {
    const { revision = DEFAULT_REVISION } = this.reference
    try {
      if (this.#origin === 'hub') await this.#cache.writeListing(this.commit, [...this.files.values()])
      if (revision !== this.commit) await this.#cache.writeRef(revision, this.commit)
    } catch (cause) {
      // A cache that holds everything may be one that cannot be written.
      if (!['EACCES', 'EPERM', 'EROFS'].includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause
    }
  }
}

const DEFAULT_REVISION = 'main'

/**
 * Finds out which commit a revision is, and its files. A commit whose list is in the cache needs no network; a branch or a tag is
 * asked for, and where the hub cannot be reached the commit that it had last counts.
 */
export async function openSnapshot(
  reference: RepoReference,
  options: SnapshotOptions = {},
): Promise<Snapshot> {
  const settings = hubSettings()
  const request = { reference, settings, signal: options.signal }
  const cache = new CacheFolder(settings.cacheFolder, reference)
  const { revision = DEFAULT_REVISION } = reference
  const fromCache = async (commit: string) => {
    const listed = await cache.readListing(commit)
    const files = listed ?? (await cache.cachedFiles(commit))
    if (files.length === 0) throw notCached(request, `commit ${commit}`)
    const origin = listed === undefined ? 'cached files' : 'list in the cache'
    return new Snapshot(request, cache, commit, files, origin, options)
  }
  if (settings.offline) {
    const commit = isCommit(revision) ? revision : await cache.readRef(revision)
    if (commit === undefined) throw notCached(request, `revision ${revision}`)
    return fromCache(commit)
  }
  try {
    const commit = isCommit(revision) ? revision : await commitOf(revision, request)
    if ((await cache.readListing(commit)) !== undefined) return await fromCache(commit)
    const files = await listFilesOf(commit, request)
    return new Snapshot(request, cache, commit, files, 'hub', options)
  } catch (error) {
    const commit = isCommit(revision) ? revision : await cache.readRef(revision)
    if (!isUnreachable(error) || commit === undefined) throw error
    const snapshot = await fromCache(commit).catch(() => undefined)
    if (snapshot === undefined) throw error
    options.onNote?.(
      `${settings.endpoint} cannot be reached: going on with ${reference.id} as it is in the cache, commit ${commit.slice(0, 10)}`,
    )
    return snapshot
  }
}

async function commitOf(revision: string, request: HubRequest): Promise<string> {
  const { reference, settings } = request
  // Loaded when it is needed: a tenth of a second that most commands have no use for.
  const { datasetInfo, modelInfo } = await import('@huggingface/hub')
  const query = { name: reference.id, revision, hubUrl: settings.endpoint, fetch: hubJsonFetch(request) }
  const { sha } = await understood(reference, () =>
    reference.type === 'model'
      ? modelInfo({ ...query, additionalFields: ['sha'] })
      : datasetInfo({ ...query, additionalFields: ['sha'] }),
  )
  if (isCommit(sha)) return sha
  throw corruptAnswer(reference, 'the hub names no commit', {
    expected: 'a commit of 40 hexadecimal digits',
    received: JSON.stringify(sha)?.slice(0, 80) ?? 'nothing',
  })
}

async function listFilesOf(commit: string, request: HubRequest): Promise<RepoFile[]> {
  const { reference, settings } = request
  const { listFiles } = await import('@huggingface/hub')
  const tooMany = () =>
    corruptAnswer(reference, 'too many files', { expected: `at most ${MAX_FILES} on ${MAX_PAGES} pages` })
  const fetchJson = hubJsonFetch(request)
  let pages = 0
  const fetchPage: typeof fetch = (...page) => {
    if (++pages > MAX_PAGES) throw tooMany()
    return fetchJson(...page)
  }
  const repo = { type: reference.type, name: reference.id }
  const query = { repo, revision: commit, recursive: true, hubUrl: settings.endpoint, fetch: fetchPage }
  const found: unknown[] = []
  await understood(reference, async () => {
    for await (const { type, path, size, oid, lfs } of listFiles(query)) {
      if (type !== 'file') continue
      if (found.length >= MAX_FILES) throw tooMany()
      found.push({ path, bytes: lfs?.size ?? size, etag: lfs?.oid ?? oid })
    }
  })
  return checkedFiles(found, reference.text)
}

/** The library takes the hub's answers for what they should be: a TypeError is what an answer of another shape ends in. */
async function understood<T>(reference: RepoReference, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    throw corruptAnswer(reference, "the hub's answer has another shape", {
      expected: 'the API of the Hugging Face hub; is HF_ENDPOINT the address of one?',
      received: cause.message,
    })
  }
}

function notCached({ reference, settings }: HubRequest, what: string): CoppiceError {
  const folder = new CacheFolder(settings.cacheFolder, reference).path
  const reason = settings.offline ? 'HF_HUB_OFFLINE is set, and ' : ''
  return new CoppiceError(
    'NOT_FOUND',
    `${pathHint(reference)}${reason}${what} of ${KIND_WORDS[reference.type]} ${reference.id} is not in the cache`,
    {
      where: reference.text,
      expected: `it in ${folder}, or the network`,
    },
  )
}
