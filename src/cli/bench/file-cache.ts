import { spawnSync } from 'node:child_process'
import { open } from 'node:fs/promises'

const BLOCK = 2 ** 23

/** Reads a file from its beginning to its end, into the same memory again and again. */
export async function readThrough(path: string): Promise<void> {
  const block = new Uint8Array(BLOCK)
  const file = await open(path)
  try {
    while ((await file.read(block, 0, BLOCK, null)).bytesRead > 0);
  } finally {
    await file.close()
  }
}

/**
 * Asks the system to forget a file's contents, so that the next read comes from the disk. False where that cannot be had, or cannot be
 * seen to have happened: Linux with GNU dd and util-linux' fincore can.
 */
export function forget(path: string): boolean {
  const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' })
  if (run('dd', `if=${path}`, 'iflag=nocache', 'count=0').status !== 0) return false
  const left = run('fincore', '--bytes', '--noheadings', '--output', 'RES', path)
  return left.status === 0 && left.stdout.trim() === '0'
}
