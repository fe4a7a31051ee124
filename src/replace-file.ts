import { open, rename, writeFile } from 'node:fs/promises'

/** Writes a file under another name first, so that a reader, and a run after a kill, finds the old or the new one whole. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const partial = `${path}.partial`
  await writeFile(partial, content)
  await syncPath(partial)
  await rename(partial, path)
}

/** Waits until a file or folder is on the disk. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
