import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { BenchCase } from '../../../src/cli/bench/bench-case.ts'
import { benchRow } from '../../../src/cli/bench/bench-row.ts'
import { runCases } from '../../../src/cli/bench/run-cases.ts'

const SETUP = { backend: {}, timing: { repeats: 3, seconds: 0 }, isQuick: true }

/** A case that fails behind its rows where it is told to. */
function caseOf(name: string, ops: readonly string[], failure?: Error): BenchCase {
  const context = { case: name, device: 'cpu', dtype: 'f32', isa: 'portable', threads: 1 }
  return {
    name,
    async *run() {
      for (const op of ops) {
        yield benchRow(context, { op, shape: 'rows 1', seconds: [0.001], peakRssMib: 1 }, 'no peak')
      }
      if (failure !== undefined) throw failure
    },
  }
}

describe('the rows of a run of cases', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-run-cases-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('are shown as they come, and saved when their case is done', async (t) => {
    const print = t.mock.method(console, 'log', () => {})
    const save = join(folder, 'rows.jsonl')
    const failure = new Error('enough')
    const cases = [caseOf('a', ['a1', 'a2']), caseOf('b', []), caseOf('c', ['c1', 'c2'], failure)]
    await assert.rejects(runCases(cases, SETUP, { json: true, save }), failure)
    const opsOf = (rows: { op: string }[]) => rows.map(({ op }) => op)
    const printed = print.mock.calls.map((call) => String(call.arguments[0])).join('\n')
    assert.deepEqual(opsOf(JSON.parse(printed)), ['a1', 'a2', 'c1', 'c2'])
    const saved = (await readFile(save, 'utf8')).trimEnd().split('\n')
    assert.deepEqual(opsOf(saved.map((line) => JSON.parse(line))), ['a1', 'a2'])
  })
})
