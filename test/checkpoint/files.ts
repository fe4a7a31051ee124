import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JsonValue } from '../../src/checkpoint/strict-json.ts'

/** Runs `body` with a new folder that is gone afterwards. */
export async function withFolder<T>(body: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'coppice-'))
  try {
    return await body(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A safetensors file of a header as text and a number of body bytes, however wrong they are. */
export function writeRaw(path: string, header: string, bodyBytes: number, length?: bigint): string {
  const json = Buffer.from(header)
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(length ?? BigInt(json.length))
  writeFileSync(path, Buffer.concat([prefix, json, Buffer.alloc(bodyBytes)]))
  return path
}

/** A safetensors file of tensors by name, bodies in order and zero. */
export function writeTensors(
  path: string,
  tensors: Record<string, { dtype?: string; shape: number[] }>,
): string {
  let end = 0
  const header: [string, JsonValue][] = Object.entries(tensors).map(([name, { dtype = 'F32', shape }]) => {
    const begin = end
    end += shape.reduce((product, size) => product * size, dtype === 'F32' ? 4 : dtype === 'I64' ? 8 : 2)
    return [name, { dtype, shape, data_offsets: [begin, end] }]
  })
  return writeRaw(path, JSON.stringify(Object.fromEntries(header)), end)
}

export function writeJson(path: string, value: JsonValue): void {
  writeFileSync(path, JSON.stringify(value))
}
