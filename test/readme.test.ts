import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

test("the README's first block of TypeScript runs as it stands", () => {
  const block = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))?.[1]
  assert.ok(block !== undefined, 'README.md has no TypeScript block')
  assert.ok(block.trim().split('\n').length <= 14, 'the block has outgrown its heading')
  const folder = mkdtempSync(join(tmpdir(), 'coppice-readme-'))
  try {
    const file = join(folder, 'readme.mts')
    writeFileSync(
      file,
      block.replace("'coppice'", JSON.stringify(pathToFileURL(join(root, 'src/index.ts')).href)),
    )
    const tsx = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href
    const run = spawnSync(process.execPath, ['--import', tsx, file], { cwd: folder, encoding: 'utf8' })
    assert.equal(run.status, 0, run.stderr)
    const lines = run.stdout.trim().split('\n')
    assert.equal(lines.length, 10, 'one line a step')
    for (const line of lines) assert.match(line, /^\d+ \d/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
