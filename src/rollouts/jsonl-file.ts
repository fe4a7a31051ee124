import type { FileHandle } from 'node:fs/promises'
import { type JsonRow, parseRowBytes, type RowFault } from './json-text.ts'

/** A line of a .jsonl file that is not empty. `line` counts from 1. */
export type JsonlLine = { line: number; row: JsonRow } | { line: number; fault: RowFault }

/** A longer line is no row: it is skipped without being held. */
export const MAX_LINE_BYTES = 16 * 2 ** 20
const CHUNK_BYTES = 1 << 20
const BLOCK_LINES = 4096

const NEWLINE = 0x0a
const BYTE_ORDER_MARK = Uint8Array.of(0xef, 0xbb, 0xbf)

/**
 * The lines of a .jsonl file, a block of it at a time, each parsed or with what is wrong about it. Lines end with LF or
 * CR LF; a byte order mark is passed over.
 */
export async function* readJsonlLines(file: FileHandle): AsyncGenerator<JsonlLine[], void, void> {
  let line = 0
  let kept: Uint8Array[] = []
  let keptBytes = 0
  let isFirst = true
  const finish = (out: JsonlLine[]) => {
    line++
    if (keptBytes > MAX_LINE_BYTES) out.push({ line, fault: tooLong(keptBytes) })
    else {
      const bytes = isFirst ? withoutMark(joined(kept, keptBytes)) : joined(kept, keptBytes)
      if (!isBlank(bytes)) out.push({ line, ...parseRowBytes(bytes) })
    }
    isFirst = false
    kept = []
    keptBytes = 0
  }
  const keep = (bytes: Uint8Array) => {
    keptBytes += bytes.length
    if (keptBytes > MAX_LINE_BYTES) kept = []
    else if (bytes.length > 0) kept.push(bytes)
  }
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES)
    if (bytesRead === 0) break
    let out: JsonlLine[] = []
    let begin = 0
    for (;;) {
      const end = chunk.indexOf(NEWLINE, begin)
      if (end === -1 || end >= bytesRead) break
      keep(chunk.subarray(begin, end))
      finish(out)
      begin = end + 1
      if (out.length < BLOCK_LINES) continue
      yield out
      out = []
    }
    keep(chunk.subarray(begin, bytesRead))
    if (out.length > 0) yield out
  }
  const out: JsonlLine[] = []
  if (keptBytes > 0) finish(out)
  if (out.length > 0) yield out
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts, bytes)
}

export function withoutMark(bytes: Uint8Array): Uint8Array {
  return BYTE_ORDER_MARK.every((byte, i) => bytes[i] === byte) ? bytes.subarray(3) : bytes
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d)
}

function tooLong(bytes: number): RowFault {
  return {
    reason: 'a line that is too long',
    expected: `at most ${MAX_LINE_BYTES / 2 ** 20} MiB`,
    received: `${(bytes / 2 ** 20).toFixed(1)} MiB`,
  }
}
