import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { chooseWorkloads } from '../../../src/cli/bench-compare/cases.ts'
import { isNotRun, parseContenderLine } from '../../../src/cli/bench-compare/contender-line.ts'
import { defaultConfig } from '../../../src/index.ts'
import { coppice } from '../command-line.ts'
import { lineOf, SMALL_PRODUCT } from './sample-case.ts'

describe('coppice bench --case', () => {
  const config = defaultConfig({
    ...{ modelType: 'llama', hiddenSize: 16, numLayers: 1, numHeads: 2, intermediateSize: 32 },
    ...{ vocabSize: 32, maxPositions: 64, tieEmbeddings: true },
  })
  const measured = async (asked: object) => {
    const { code, stdout, stderr } = await coppice([
      'bench',
      '--isa',
      'portable',
      '--case',
      JSON.stringify(asked),
    ])
    assert.equal(code, 0, stderr)
    const line = parseContenderLine(stdout, 'coppice')
    assert.ok(!isNotRun(line))
    return line
  }

  it("speaks the contenders' protocol for every kind", async () => {
    const cases = [
      SMALL_PRODUCT,
      {
        ...SMALL_PRODUCT,
        kind: 'head',
        op: 'head_forward_backward',
        sizes: { rows: 4, vocab: 32, cols: 16 },
      },
      { ...SMALL_PRODUCT, kind: 'step', op: 'train_step', sizes: { rows: 2, length: 8 }, tokens: 16, config },
      {
        ...{ ...SMALL_PRODUCT, kind: 'generate', op: 'generate', tokens: 6, config },
        sizes: { prompts: 2, prompt_length: 4, completion_length: 3 },
      },
    ]
    for (const asked of cases) {
      const line = await measured(asked)
      assert.equal(line.contender, 'coppice')
      assert.equal(line.variant, 'portable')
      assert.equal(line.threads, 1)
      assert.deepEqual([line.op, line.shape, line.tokens], [asked.op, asked.shape, asked.tokens])
      assert.ok(line.seconds.length >= 3)
    }
  })

  it('refuses what is no case', async () => {
    const refused = async (text: string, message: RegExp) => {
      const { code, stderr } = await coppice(['bench', '--case', text])
      assert.equal(code, 2, stderr)
      assert.match(stderr, message)
    }
    await refused('{', /--case: not a case/)
    await refused('{"kind":"toString"}', /--case: .*received kind "toString"/)
    await refused('{"kind":"op"}', /--case: .*received no op/)
  })
})

describe('coppice bench --compare', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-compare-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('says of a contender that cannot be started that it was not run, and why', async () => {
    const rows = join(folder, 'rows.jsonl')
    const absent = join(folder, 'no-python')
    const cases = ['--cases', 'op/linear-1x1024x256', '--threads', '1']
    const flags = ['--compare', '--contenders', 'onednn', '--python', absent, ...cases, '--save', rows]
    const { code, stdout, stderr } = await coppice(['bench', 'op', ...flags])
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^linear .*onednn matmul: not run: onednn: .*ENOENT/m)
    assert.match(stdout, /^linear .*onednn inner product: not run: /m)
    assert.match(stdout, /^.+, 1 thread, commit /m)
    const saved = (await readFile(rows, 'utf8')).trim().split('\n')
    assert.deepEqual(
      saved.map((line) => JSON.parse(line).contender_variant),
      ['matmul', 'inner product'],
    )
  })

  it("ends the line of progress before coppice's own failure", async () => {
    const python = join(folder, 'quick-python')
    await writeFile(python, `#!/bin/sh\necho '${JSON.stringify(lineOf('openblas', [1e-6]))}'\n`, {
      mode: 0o755,
    })
    const cases = ['--cases', 'op/linear-1x1024x256', '--isa', 'mmx']
    const flags = ['--compare', '--contenders', 'openblas', '--python', python, ...cases]
    const { code, stdout, stderr } = await coppice(['bench', 'op', ...flags])
    assert.notEqual(code, 0)
    assert.equal(stdout, '')
    assert.match(stderr, /^op\/linear-1x1024x256: openblas, sgemm: \n.*coppice: ended with .*mmx/)
  })

  it('names what it does not know', async () => {
    const refused = async (args: string[], message: RegExp) => {
      const { code, stdout, stderr } = await coppice(['bench', ...args])
      assert.equal(code, 2, stderr)
      assert.equal(stdout, '')
      assert.match(stderr, message)
    }
    await refused(['--compare', '--contenders', 'pytroch'], /--contenders: .*did you mean 'pytorch'/)
    await refused(['step', '--compare', '--cases', 'step/s'], /--cases: .*did you mean 'step\/S'/)
    await refused(['eventloop', '--compare'], /bench eventloop --compare: nothing to compare with/)
    await refused(['head', '--compare', '--contenders', 'onednn'], /none of these contenders/)
    await refused(['--contenders', 'onednn'], /--contenders: only together with --compare/)
    for (const flag of [['--list'], ['--quick'], ['--repeats', '3']]) {
      const message = new RegExp(`${flag[0]}: not together with --compare`)
      await refused(['--compare', ...flag], message)
    }
    await refused(['--compare', '--threads', '0'], /--threads: .*whole number from 1/)
    await refused(['--compare', '--threads', '1.5'], /--threads: .*whole number from 1/)
    await refused(['--compare', '--rounds', '0'], /--rounds: .*whole number from 1/)
    await refused(['--compare', '--device', 'cuda'], /--device: contenders run on the CPU/)
  })

  it('has a name for every case', () => {
    const names = chooseWorkloads('all', undefined).map(({ name }) => name)
    assert.equal(new Set(names).size, names.length)
    assert.deepEqual(
      chooseWorkloads('step', ['step/M']).map(({ sizes, tokens }) => [sizes.rows, sizes.length, tokens]),
      [[8, 256, 2048]],
    )
  })
})
