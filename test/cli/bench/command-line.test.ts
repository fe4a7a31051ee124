import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { coppice } from '../command-line.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

describe('coppice bench', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('prints rows as JSON, appends them to a file, and tells what it does on stderr alone', async () => {
    const save = join(folder, 'rows.jsonl')
    const flags = ['--quick', '--isa', 'portable', '--threads', '1', '--save', save]
    const { code, stdout, stderr } = await coppice(['bench', 'step', '--json', ...flags])
    assert.equal(code, 0, stderr)
    const rows = JSON.parse(stdout) as { case: string }[]
    assert.deepEqual(
      rows.map((row) => row.case),
      ['step/S', 'step/M'],
    )
    const saved = (await readFile(save, 'utf8')).trim().split('\n')
    assert.deepEqual(
      saved.map((line) => JSON.parse(line)),
      rows,
    )
    assert.match(stderr, /^bench 2\/2/m)
  })

  it('prints a line a row and what they have in common', async () => {
    const flags = ['--cases', 'step/S', '--quick', '--isa', 'portable', '--threads', '1']
    const { code, stdout, stderr } = await coppice(['bench', ...flags])
    assert.equal(code, 0, stderr)
    const lines = stdout.trimEnd().split('\n')
    assert.equal(lines.length, 2)
    assert.match(
      lines[0]!,
      /^train_step +S made tiny, 2 rows of 16 tokens .* tokens\/s, .* % of peak, \d+ MiB$/,
    )
    assert.match(lines[1]!, /cores; 1 thread, portable, f32; commit /)
  })

  it('lists its kinds and their cases', async () => {
    const help = await coppice(['bench', '--help'])
    for (const kind of ['op', 'head', 'slice', 'load', 'grade', 'arrow', 'scaling', 'eventloop']) {
      assert.match(help.stdout, new RegExp(`^ +${kind}: `, 'm'))
    }
    const { stdout } = await coppice(['bench', 'slice', '--list'])
    assert.equal(stdout, 'slice/Qwen2.5-0.5B\n')
    const json = await coppice(['bench', 'generate', '--list', '--json'])
    assert.ok((JSON.parse(json.stdout) as string[]).includes('generate/S-32x8'))
  })

  it('names what it does not know', async () => {
    const refused = async (args: string[], message: RegExp) => {
      const { code, stdout, stderr } = await coppice(['bench', ...args])
      assert.equal(code, 2, stderr)
      assert.equal(stdout, '')
      assert.match(stderr, message)
    }
    await refused(['stpe'], /Choices: "op", "head", "step"/)
    await refused(['step', '--cases', 'step/s'], /--cases: .*did you mean 'step\/S'/)
    await refused(['step', '--cases', 'elsewhere'], /--cases: .*some of step\/S, step\/M/)
    await refused(['op', '--cases', 'elsewhere'], /--cases: .*one of those that --list prints/)
    await refused(['step', '--repeats', '0'], /--repeats: .*whole number from 1/)
    await refused(['step', '--seconds', '-1'], /--seconds: /)
  })

  it('ends with whole JSON when it is interrupted', async () => {
    const flags = ['--json', '--quick', '--isa', 'portable', '--seconds', '600', '--repeats', '1000000']
    const args = ['--import', 'tsx', 'src/cli/main.ts', 'bench', 'step', ...flags]
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] })
    let stdout = ''
    // What it prints first says that it listens.
    child.stdout.on('data', (data) => {
      if (stdout === '') child.kill('SIGINT')
      stdout += data
    })
    const [code] = await once(child, 'close')
    assert.equal(code, 130)
    assert.deepEqual(JSON.parse(stdout), [])
  })
})
