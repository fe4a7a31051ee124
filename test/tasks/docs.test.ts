import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { loadTask } from '../../src/tasks/index.ts'
import { verifyAll } from '../../src/verify.ts'
import { sampleOf } from '../verifiers/verdict-table.ts'
import { checkTaskContract } from './task-contract.ts'

const dir = await mkdtemp(join(tmpdir(), 'coppice-docs-'))
after(() => rm(dir, { recursive: true }))

/** The code block of docs/tasks.md with that name as a file, with the package's public face taken from the source. */
async function documented(name: string): Promise<string> {
  const text = await readFile(new URL('../../docs/tasks.md', import.meta.url), 'utf8')
  const code = new RegExp(`\`\`\`ts ${name}\n(.*?)\`\`\``, 's').exec(text)?.[1]
  assert.ok(code !== undefined, `docs/tasks.md has no block called ${name}`)
  const index = new URL('../../src/index.ts', import.meta.url).href
  const file = join(dir, `${name}.mts`)
  await writeFile(file, code.replace("'coppice'", JSON.stringify(index)))
  return file
}

describe('docs/tasks.md', () => {
  it('shows a task that works', async () => {
    const task = await loadTask(await documented('task'))
    assert.equal(task.name, 'reverse')
    checkTaskContract(task, (prompt) => prompt)
  })

  it('shows a verifier that works', async () => {
    const completions = ['So the answer is 42.', 'the answer is -3', 'no idea']
    const samples = completions.map((completion) => sampleOf('42', completion))
    const judgements = await verifyAll(samples, await documented('verifier'), { concurrency: 1 })
    assert.deepEqual(
      judgements.map(({ verdict }) => verdict),
      ['right', 'wrong', 'unparsed'],
    )
  })
})
