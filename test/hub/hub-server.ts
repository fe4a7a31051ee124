import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Contents by path; what is wrapped by `large` is stored as the hub stores large files (LFS). */
export type RepoContents = Readonly<Record<string, string | Uint8Array | { large: Uint8Array }>>

export const large = (bytes: string | Uint8Array) => ({ large: Buffer.from(bytes) })

interface StoredFile {
  path: string
  bytes: Buffer
  /** As git names the blob; of a large file's pointer, which nobody here reads. */
  oid: string
  sha256: string | undefined
}

interface StoredRepo {
  key: string
  /** Commit by branch or tag. */
  refs: Map<string, string>
  commits: Map<string, StoredFile[]>
  access: 'public' | 'private' | 'gated'
}

export interface SeenRequest {
  method: string
  url: string
  host: string
  range: string | undefined
  authorization: string | undefined
}

/** Answers a request itself, by returning true. */
export type Interception = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>

const PAGE = 3

/**
 * A hub on this machine: information, tree listings in small pages, and files, which for large ones are redirected to a second
 * server, as the hub redirects to its storage. Knows one token.
 */
export class HubServer {
  readonly requests: SeenRequest[] = []
  readonly token = 'hf_test_token'
  /** Asked first, on the hub and on its storage. */
  intercept: Interception | undefined
  #hub: Server | undefined
  #storage: Server | undefined
  readonly #repos = new Map<string, StoredRepo>()

  async start(): Promise<this> {
    this.#hub = await listen((request, response) => this.#answer(request, response, false))
    this.#storage = await listen((request, response) => this.#answer(request, response, true))
    return this
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server?.closeAllConnections()
      await new Promise((done) => server?.close(done))
    }
  }

  get endpoint(): string {
    return addressOf(this.#hub!)
  }

  get storage(): string {
    return addressOf(this.#storage!)
  }

  /** Adds a commit, and points the revision to it. `key` is `models/org/name` or `datasets/org/name`. */
  commit(
    key: string,
    contents: RepoContents,
    { revision = 'main', access = 'public' as StoredRepo['access'] } = {},
  ): string {
    const repo = this.#repos.get(key) ?? { key, refs: new Map(), commits: new Map(), access }
    const files = Object.entries(contents).map(([path, content]) => storedFile(path, content))
    const commit = sha1(JSON.stringify([key, revision, files.map(({ path, oid }) => [path, oid])]))
    repo.commits.set(commit, files)
    repo.refs.set(revision, commit)
    this.#repos.set(key, repo)
    return commit
  }

  /** Paths of files whose bodies were asked for, in order; asking for a size or a redirect does not count. */
  get bodies(): string[] {
    return this.requests
      .filter(({ url, method }) => method === 'GET' && /\/resolve\/|^\/stored\//.test(url))
      .map(({ url }) => url)
  }

  async #answer(request: IncomingMessage, response: ServerResponse, isStorage: boolean): Promise<void> {
    const { method = '', url = '', headers } = request
    const { range, authorization, host = '' } = headers
    this.requests.push({ method, url, host, range, authorization })
    if (this.intercept !== undefined && (await this.intercept(request, response))) return
    const { pathname, searchParams } = new URL(url, this.endpoint)
    if (isStorage) {
      const hash = pathname.split('/').at(-1)
      const file = [...this.#repos.values()]
        .flatMap(({ commits }) => [...commits.values()].flat())
        .find(({ sha256 }) => sha256 === hash)
      if (file === undefined) return end(response, 404)
      return sendBytes(request, response, file.bytes, { etag: `"storage-${hash}"` })
    }
    const api =
      /^\/api\/(models|datasets)\/([^/]+\/[^/]+)(?:\/(revision|tree|paths-info)\/([^/]+)(?:\/(.*))?)?$/.exec(
        pathname,
      )
    const resolve = /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname)
    const key = api ? `${api[1]}/${api[2]}` : resolve ? `${resolve[1] ?? 'models/'}${resolve[2]}` : ''
    const repo = this.#repos.get(key)
    const isKnown = authorization === `Bearer ${this.token}`
    if (repo === undefined || (repo.access === 'private' && !isKnown)) {
      return refuse(response, isKnown ? 404 : 401, 'RepoNotFound', 'Repository not found')
    }
    const revision = decodeURIComponent(api?.[4] ?? resolve?.[3] ?? 'main')
    const commit = repo.commits.has(revision)
      ? revision
      : repo.refs.get(revision === 'HEAD' ? 'main' : revision)
    if (commit === undefined) return refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`)
    const files = repo.commits.get(commit)!
    if (api) {
      if (api[3] === 'tree')
        return this.#sendTree(response, url, files, decodeURIComponent(api[5] ?? ''), searchParams)
      if (api[3] === 'paths-info') return end(response, 501)
      const siblings = files.map(({ path }) => ({ rfilename: path }))
      const facts = { downloads: 0, likes: 0, private: repo.access === 'private', gated: false, tags: [] }
      return sendJson(response, {
        _id: 'x',
        id: api[2],
        sha: commit,
        lastModified: '2025-01-01T00:00:00.000Z',
        siblings,
        ...facts,
      })
    }
    if (repo.access === 'gated' && !isKnown) {
      return refuse(response, 401, 'GatedRepo', 'Access to this repository is restricted')
    }
    const path = decodeURIComponent(resolve![4]!)
    const file = files.find((each) => each.path === path)
    const common = { 'x-repo-commit': commit }
    if (file === undefined) return refuse(response, 404, 'EntryNotFound', 'Entry not found', common)
    if (file.sha256 === undefined)
      return sendBytes(request, response, file.bytes, { ...common, etag: `"${file.oid}"` })
    response.writeHead(302, {
      ...common,
      'x-linked-etag': `"${file.sha256}"`,
      'x-linked-size': file.bytes.length,
      location: `${this.storage}/stored/${file.sha256}`,
    })
    response.end()
  }

  #sendTree(
    response: ServerResponse,
    url: string,
    files: readonly StoredFile[],
    folder: string,
    query: URLSearchParams,
  ): void {
    const isRecursive = query.get('recursive')?.toLowerCase() === 'true'
    const within = files.filter(({ path }) => folder === '' || path.startsWith(`${folder}/`))
    const folders = new Set(within.flatMap(({ path }) => foldersAbove(path)))
    const entries = [
      ...[...folders].map((path) => ({ type: 'directory', path, oid: sha1(path), size: 0 })),
      ...within.map(({ path, bytes, oid, sha256 }) => ({
        ...{ type: 'file', path, oid, size: bytes.length },
        ...(sha256 !== undefined && { lfs: { oid: sha256, size: bytes.length, pointerSize: 130 } }),
      })),
    ].filter(({ path }) => isRecursive || !path.slice(folder === '' ? 0 : folder.length + 1).includes('/'))
    const start = Number(query.get('cursor') ?? 0)
    if (start + PAGE < entries.length) {
      const next = new URL(url, this.endpoint)
      next.searchParams.set('cursor', String(start + PAGE))
      response.setHeader('link', `<${next.href}>; rel="next"`)
    }
    sendJson(response, entries.slice(start, start + PAGE))
  }
}

function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<Server> {
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      response.destroy(error)
    })
  })
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)))
}

const addressOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const sha1 = (data: string | Uint8Array) => createHash('sha1').update(data).digest('hex')

function storedFile(path: string, content: RepoContents[string]): StoredFile {
  if (typeof content === 'object' && 'large' in content) {
    const bytes = Buffer.from(content.large)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    return { path, bytes, oid: sha1(`pointer ${sha256}`), sha256 }
  }
  const bytes = Buffer.from(content)
  return {
    path,
    bytes,
    oid: sha1(Buffer.concat([Buffer.from(`blob ${bytes.length}\0`), bytes])),
    sha256: undefined,
  }
}

function foldersAbove(path: string): string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'))
}

export function sendJson(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(value))
}

export function end(response: ServerResponse, status: number): void {
  response.writeHead(status)
  response.end()
}

function refuse(response: ServerResponse, status: number, code: string, message: string, headers = {}): void {
  response.writeHead(status, { ...headers, 'x-error-code': code, 'x-error-message': message })
  response.end()
}

export function sendBytes(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer,
  headers = {},
): void {
  const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? -1)
  const part = start < 0 ? bytes : bytes.subarray(start)
  response.writeHead(start < 0 ? 200 : 206, {
    ...headers,
    'accept-ranges': 'bytes',
    'content-length': part.length,
    ...(start >= 0 && { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
  })
  response.end(request.method === 'HEAD' ? undefined : part)
}
