import { open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'

// Bytes of a blob that have come so far. Node has no file locks as Python's huggingface_hub uses them, so no two processes write
// to one file: a partial file bears its owner's name, `<etag>.<host>.<process>.<thread>.incomplete`, and whoever goes on with one
// that was left behind renames it first, which only one can. While a live owner is at work the others wait for its blob.

/** An owner touches its file this often ... */
const BEAT_MS = 5_000
/** ... and is taken for dead after so long: it may run on another machine that shares the folder, or be suspended. */
const SILENCE_MS = 60_000
const POLL_MS = 200

const HOST = hostname().replaceAll(/[^\w-]/g, '_')

export interface PartialFile {
  path: string
  /** What came before, which is to be checked with the rest. */
  bytes: number
  /** Ends the claim; the file stays for whoever comes next. */
  release(): Promise<void>
}

/**
 * Claims the partial file of a blob; undefined when the blob has come meanwhile by another's work, of which `onBytes` hears how
 * far it is.
 */
export async function claimPartial(
  blob: string,
  isThere: () => Promise<boolean>,
  onBytes: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<PartialFile | undefined> {
  const mine = `${blob}.${HOST}.${process.pid}.${threadId}.incomplete`
  for (;;) {
    if (await isThere()) return undefined
    const others = await partialsOf(blob)
    // One under my own name is from an earlier life: in a container every process may have the same number.
    const owner = others.find(({ path, isAlive }) => isAlive && path !== mine)
    if (owner !== undefined) {
      onBytes(owner.bytes)
      await wait(POLL_MS, undefined, { signal })
      continue
    }
    const left = others[0]
    if (left !== undefined) {
      try {
        await rename(left.path, mine)
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') continue
        throw cause
      }
    } else await (await open(mine, 'a')).close()
    await touch(mine)
    // Two may have come in the same moment: the one whose name sorts first goes on.
    const rivals = (await partialsOf(blob)).filter(({ path, isAlive }) => isAlive && path < mine)
    if (rivals.length > 0 && left === undefined) {
      await rm(mine, { force: true })
      continue
    }
    const beat = setInterval(() => touch(mine).catch(() => undefined), BEAT_MS)
    beat.unref()
    return {
      path: mine,
      bytes: (await stat(mine)).size,
      async release() {
        clearInterval(beat)
        // Long past, so that the next one need not wait for a silence.
        await utimes(mine, 0, 0).catch(() => undefined)
      },
    }
  }
}

/** Removes what dead owners left of a blob that is there now. */
export async function removeLeftovers(blob: string): Promise<void> {
  for (const { path, isAlive } of await partialsOf(blob)) if (!isAlive) await rm(path, { force: true })
}

interface FoundPartial {
  path: string
  bytes: number
  isAlive: boolean
}

/** Partial files of a blob, the largest first. */
async function partialsOf(blob: string): Promise<FoundPartial[]> {
  const folder = dirname(blob)
  const start = `${basename(blob)}.`
  const found: FoundPartial[] = []
  for (const name of await readdir(folder)) {
    if (!name.startsWith(start) || !name.endsWith('.incomplete')) continue
    const [host, pid] = name.slice(start.length).split('.')
    // Without an owner's name it is Python's, which may be writing to it.
    if (host === 'incomplete' || pid === undefined) continue
    const path = join(folder, name)
    const facts = await stat(path).catch(() => undefined)
    if (facts === undefined) continue
    const isFresh = Date.now() - facts.mtimeMs < SILENCE_MS
    found.push({ path, bytes: facts.size, isAlive: isFresh && (host !== HOST || isRunning(Number(pid))) })
  }
  return found.sort((a, b) => b.bytes - a.bytes)
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function touch(path: string): Promise<void> {
  const now = new Date()
  return utimes(path, now, now)
}
