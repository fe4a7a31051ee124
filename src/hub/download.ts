import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm, stat, statfs, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { CoppiceError } from '../errors.ts'
import { syncPath } from '../replace-file.ts'
import type { CacheFolder, RepoFile } from './cache-folder.ts'
import { bodyChunks, corruptAnswer, type HubRequest, hubGet, isUnreachable } from './hub-fetch.ts'
import { claimPartial, type PartialFile, removeLeftovers } from './partial-file.ts'

// The body of one file. `downloadFileToCacheDir` of @huggingface/hub 2.17 is not used for it: it begins anew where a download
// was cut off, checks neither length nor checksum before it gives the file its name, lets two processes write to one
// partial file, does not escape file names, and files a branch's snapshot under the commit that last changed the file. Its
// `downloadFile().slice(n)` would resume, but does not look whether the server honoured the range.

/** A connection that breaks off is taken up again so many times in a row without a byte. */
const MAX_TRIES = 5
const FIRST_PAUSE_MS = 500
/** Room that stays free on the disk. */
const SPARE_BYTES = 16 * 2 ** 20

/** Downloads of this process under way, by their blobs' paths: who asks for the same file waits for it. */
const underWay = new Map<string, Promise<void>>()

export interface BlobDownload {
  folder: CacheFolder
  file: RepoFile
  url: string
  request: HubRequest
  /** Hears how many bytes of the file are there. */
  onBytes: (bytes: number) => void
}

/** Fetches a file's blob into the cache unless it is there. */
export async function fetchBlob(download: BlobDownload): Promise<void> {
  const { folder, file, request } = download
  const blob = join(folder.blobs, file.etag)
  // Whether the other one's work ended well shows when it is looked for: it may have been cancelled for reasons of its own.
  for (let other = underWay.get(blob); other !== undefined; other = underWay.get(blob)) {
    await other.catch(() => undefined)
    request.signal?.throwIfAborted()
  }
  const work = fetchInto(blob, download)
  underWay.set(blob, work)
  try {
    await work
  } finally {
    underWay.delete(blob)
  }
}

async function fetchInto(blob: string, download: BlobDownload): Promise<void> {
  const { folder, file, request, onBytes } = download
  await mkdir(folder.blobs, { recursive: true })
  const isThere = async () => (await stat(blob).catch(() => undefined))?.size === file.bytes
  const partial = await claimPartial(blob, isThere, onBytes, request.signal)
  if (partial === undefined) return
  try {
    const resumed = partial.bytes > 0
    const isWhole = await complete(partial, download)
    // What was left behind may be at fault: once more, from the start.
    if (!isWhole) {
      await truncate(partial.path)
      if (!resumed || !(await complete({ ...partial, bytes: 0 }, download))) {
        throw corruptAnswer(request.reference, 'the file that came is not the one that was listed', {
          file: file.path,
          expected: `${file.etag.length === 64 ? 'SHA-256' : 'git SHA-1'} ${file.etag}`,
        })
      }
    }
    await syncPath(partial.path)
    await rename(partial.path, blob)
    await removeLeftovers(blob)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    // Another machine of the same name has taken this process for dead, and goes on with the file.
    if (code === 'ENOENT') return await fetchInto(blob, download)
    if (code === 'DATA_CORRUPT') await rm(partial.path, { force: true })
    throw diskError(cause, blob)
  } finally {
    await partial.release()
  }
}

/** Fetches what is missing of a file; whether all of it has the right checksum then. */
async function complete(
  partial: PartialFile,
  { file, url, request, onBytes }: BlobDownload,
): Promise<boolean> {
  if (partial.bytes > file.bytes) return false
  await requireRoom(partial, file)
  const hash = hashFor(file)
  for await (const chunk of createReadStream(partial.path, { highWaterMark: 2 ** 20 })) hash.update(chunk)
  let bytes = partial.bytes
  onBytes(bytes)
  const handle = await open(partial.path, 'r+')
  try {
    let tries = 0
    while (bytes < file.bytes) {
      const before = bytes
      try {
        const response = await rangeOf(url, bytes, file, request)
        for await (const chunk of bodyChunks(response, request)) {
          if (bytes + chunk.length > file.bytes) {
            throw corruptAnswer(request.reference, 'a file that is longer than it was listed', {
              file: file.path,
              expected: `${file.bytes} bytes`,
            })
          }
          await writeAll(handle, chunk, bytes)
          hash.update(chunk)
          bytes += chunk.length
          onBytes(bytes)
        }
        if (bytes < file.bytes) throw cutOff(request, file, bytes)
      } catch (cause) {
        if (!isUnreachable(cause)) throw cause
        tries = bytes > before ? 1 : tries + 1
        if (tries >= MAX_TRIES) throw cause
        const pause = Math.min(FIRST_PAUSE_MS, request.settings.stallTimeoutMs) * 2 ** (tries - 1)
        await wait(pause, undefined, { signal: request.signal })
      }
    }
  } finally {
    await handle.close()
  }
  return hash.digest('hex') === file.etag
}

/** The file from `start` on. A server that does not honour ranges sends all of it: what is there already is read over. */
async function rangeOf(url: string, start: number, file: RepoFile, request: HubRequest): Promise<Response> {
  const headers = { 'accept-encoding': 'identity', ...(start > 0 && { range: `bytes=${start}-` }) }
  const response = await hubGet(url, headers, request)
  if (start === 0 && response.status === 200) return response
  if (response.status === 206) {
    const range = response.headers.get('content-range') ?? ''
    if (new RegExp(`^bytes ${start}-\\d+/(?:${file.bytes}|\\*)$`).test(range)) return response
    await response.body?.cancel()
    throw corruptAnswer(request.reference, 'another part of the file than was asked for', {
      file: file.path,
      expected: `bytes ${start}-${file.bytes - 1}/${file.bytes}`,
      received: JSON.stringify(range.slice(0, 100)),
    })
  }
  return new Response(response.body?.pipeThrough(leavingOut(start)))
}

function leavingOut(bytes: number): TransformStream<Uint8Array, Uint8Array> {
  let left = bytes
  return new TransformStream({
    transform(chunk, controller) {
      const skipped = Math.min(left, chunk.length)
      left -= skipped
      if (skipped < chunk.length) controller.enqueue(chunk.subarray(skipped))
    },
  })
}

async function writeAll(
  handle: Awaited<ReturnType<typeof open>>,
  chunk: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    done += (await handle.write(chunk, done, chunk.length - done, position + done)).bytesWritten
  }
}

/** Large files are named by the SHA-256 of their bytes, others as git names a blob. */
function hashFor({ bytes, etag }: RepoFile): Hash {
  return etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`)
}

function cutOff({ reference }: HubRequest, file: RepoFile, bytes: number): CoppiceError {
  return new CoppiceError('UNREACHABLE', 'the connection broke off', {
    where: `${reference.text}, ${file.path}`,
    expected: `${file.bytes} bytes; what has come is kept for another try`,
    received: String(bytes),
  })
}

async function requireRoom(partial: PartialFile, file: RepoFile): Promise<void> {
  const { bavail, bsize } = await statfs(partial.path)
  const needed = file.bytes - partial.bytes
  if (needed + SPARE_BYTES <= bavail * bsize) return
  throw diskFull(partial.path, `${needed} bytes for ${file.path}`, `${bavail * bsize} bytes`)
}

/** Names what to do where the system says that there is no room. */
function diskError(cause: unknown, path: string): unknown {
  const { code } = cause as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT' ? diskFull(path, 'room for the download', code, cause) : cause
}

function diskFull(where: string, expected: string, received: string, cause?: unknown): CoppiceError {
  return new CoppiceError('DISK_FULL', 'no room on the disk', {
    where,
    expected: `${expected}, there or in another folder that HF_HUB_CACHE names`,
    received,
    cause,
  })
}
