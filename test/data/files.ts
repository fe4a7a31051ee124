import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { type PromptRow, readPrompts } from '../../src/prompts.ts'
import type { Tokenizer } from '../../src/tokenizer.ts'

/** A tokenizer whose tokens are the text's UTF-16 units. */
export const units = {
  encode: (text: string) => Int32Array.from(text, (c) => c.charCodeAt(0)),
} as unknown as Tokenizer

/** A folder that goes away with the test file; writes a file into it and returns the path. */
export function temporaryFiles(): (name: string, content: string | Uint8Array) => string {
  const folder = mkdtempSync(join(tmpdir(), 'coppice-data-'))
  after(() => rmSync(folder, { recursive: true }))
  return (name, content) => {
    const path = join(folder, name)
    writeFileSync(path, content)
    return path
  }
}

export const fixture = (name: string) => new URL(`./fixtures/${name}`, import.meta.url).pathname

export const jsonl = (...rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

/** Prompts and references, as pairs. */
export const pairs = (prompts: readonly PromptRow[]) =>
  prompts.map(({ prompt, reference }) => [prompt, reference])

export const read = (path: string, options = {}) => readPrompts(path, units, options)
