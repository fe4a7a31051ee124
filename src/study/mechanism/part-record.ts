import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Environment, environment } from '../../environment.ts'
import { replaceFile } from '../../replace-file.ts'
import { canonicalJson } from '../settings.ts'

/** What a part of a study beside its runs came to. */
export interface PartRecord<Settings, Result> {
  format: 1
  hash: string
  settings: Settings
  environment: Environment
  seconds: number
  result: Result
}

/** The record of a part under these settings, or undefined where it was not done yet. */
export async function readPart<Settings, Result>(
  records: string,
  part: string,
  settings: Settings,
): Promise<PartRecord<Settings, Result> | undefined> {
  const path = partPath(records, part, settings)
  return existsSync(path) ? JSON.parse(await readFile(path, 'utf8')) : undefined
}

/** The record of a part, made first where there is none under these settings. */
export async function oncePart<Settings, Result>(
  records: string,
  part: string,
  settings: Settings,
  make: () => Promise<Result>,
): Promise<PartRecord<Settings, Result>> {
  const known = await readPart<Settings, Result>(records, part, settings)
  if (known !== undefined) return known
  const begin = performance.now()
  const result = await make()
  const seconds = Math.round((performance.now() - begin) / 100) / 10
  const hash = hashOf(settings)
  const record = { format: 1 as const, hash, settings, environment: environment(), seconds, result }
  const path = partPath(records, part, settings)
  await mkdir(dirname(path), { recursive: true })
  await replaceFile(path, `${JSON.stringify(record)}\n`)
  return record
}

function partPath(records: string, part: string, settings: unknown): string {
  return join(records, part, `${hashOf(settings)}.json`)
}

function hashOf(settings: unknown): string {
  return createHash('sha256').update(canonicalJson(settings)).digest('hex').slice(0, 16)
}
