import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach } from 'node:test'
import { HubServer } from './hub-server.ts'

const VARIABLES = [
  ...[
    'HF_ENDPOINT',
    'HF_HOME',
    'HF_HUB_CACHE',
    'HUGGINGFACE_HUB_CACHE',
    'HF_TOKEN',
    'HUGGING_FACE_HUB_TOKEN',
  ],
  ...['HF_TOKEN_PATH', 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE', 'HF_HUB_DISABLE_IMPLICIT_TOKEN'],
  ...['HF_HUB_ETAG_TIMEOUT', 'HF_HUB_DOWNLOAD_TIMEOUT', 'XDG_CACHE_HOME'],
]

export interface HubTest {
  server: HubServer
  /** HF_HOME: empty at the beginning of each test. */
  home: string
  /** The environment that leads to this hub, for other processes. */
  environment(): NodeJS.ProcessEnv
}

/** A hub of our own and an empty cache for each test of the suite; the environment is as before afterwards. */
export function withHub(): HubTest {
  const saved = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]))
  const test: HubTest = { server: new HubServer(), home: '', environment: () => ({ ...process.env }) }
  const forget = () => {
    for (const name of VARIABLES) delete process.env[name]
    if (test.home !== '') rmSync(test.home, { recursive: true })
  }
  before(() => test.server.start())
  beforeEach(() => {
    forget()
    test.home = mkdtempSync(join(tmpdir(), 'coppice-hub-'))
    test.server.requests.length = 0
    test.server.intercept = undefined
    process.env.HF_ENDPOINT = test.server.endpoint
    process.env.HF_HOME = test.home
  })
  after(async () => {
    forget()
    for (const [name, value] of Object.entries(saved)) if (value !== undefined) process.env[name] = value
    await test.server.stop()
  })
  return test
}

/** An address where nobody answers. */
export async function unusedAddress(): Promise<string> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  return `http://127.0.0.1:${port}`
}

/** Every file and link below a folder, sorted. */
export function listing(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
}
