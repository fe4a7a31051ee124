import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, it } from 'node:test'
import { probe, runRounds } from '../../../src/cli/bench-compare/rounds.ts'
import { processSide, type Side } from '../../../src/cli/bench-compare/sides.ts'
import { lineOf, SMALL_PRODUCT } from './sample-case.ts'

// A contender of ours: notes that it was started and with which case, and prints what it is told to.
const FAKE = `
  import { appendFileSync } from 'node:fs'
  const [name, log, output, code, asked] = process.argv.slice(2)
  appendFileSync(log, JSON.stringify({ name, pid: process.pid, asked: JSON.parse(asked) }) + '\\n')
  if (output === 'hang') setInterval(() => {}, 1000)
  else console.log(output)
  if (code !== '0') {
    console.error('first words')
    console.error('last words')
    process.exit(Number(code))
  }
`

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

interface Started {
  name: string
  pid: number
  asked: Record<string, unknown>
}

describe('rounds', () => {
  const folder = mkdtempSync(join(tmpdir(), 'coppice-rounds-'))
  const program = join(folder, 'fake.mjs')
  const log = join(folder, 'log.jsonl')
  writeFileSync(program, FAKE)
  beforeEach(() => writeFileSync(log, ''))
  after(() => rmSync(folder, { recursive: true }))

  function fake(name: string, output: string, code = 0, timeoutSeconds = 60, signal?: AbortSignal): Side {
    const args = [program, name, log, output, String(code)]
    return processSide({ name, command: process.execPath, args, timeoutSeconds, signal }, 'plain')
  }
  const saying = (name: string, ...seconds: number[]) => fake(name, JSON.stringify(lineOf(name, seconds)))
  const started = () =>
    readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Started)

  it('take turns, each in a process of its own that is given the case', async () => {
    const found = await runRounds(saying('coppice', 1), saying('them', 2), SMALL_PRODUCT, 3)
    const order = started().map(({ name }) => name)
    assert.deepEqual(order, ['coppice', 'them', 'coppice', 'them', 'coppice', 'them'])
    assert.equal(new Set(started().map(({ pid }) => pid)).size, 6)
    for (const { asked } of started()) assert.deepEqual(asked, { ...SMALL_PRODUCT, variant: 'plain' })
    assert.ok('own' in found)
    assert.deepEqual(
      found.own.map(({ seconds }) => seconds),
      [[1], [1], [1]],
    )
    assert.deepEqual(
      found.theirs.map(({ seconds }) => seconds),
      [[2], [2], [2]],
    )
  })

  it('end with the reason of a contender that cannot, after one turn', async () => {
    const { contender, variant, op, shape } = lineOf('them', [1])
    const absent = fake('them', JSON.stringify({ contender, variant, op, shape, not_run: 'no compiler' }))
    const found = await runRounds(saying('coppice', 1), absent, SMALL_PRODUCT, 3)
    assert.deepEqual(found, { notRun: 'no compiler' })
    assert.deepEqual(
      started().map(({ name }) => name),
      ['coppice', 'them'],
    )
  })

  it('give the last words of a contender that fell over, and what was wrong with its line', async () => {
    const reason = async (side: Side) => {
      const found = await runRounds(saying('coppice', 1), side, SMALL_PRODUCT, 1)
      return 'notRun' in found ? found.notRun : ''
    }
    assert.match(await reason(fake('them', '', 3)), /them: ended with 3: last words/)
    assert.match(await reason(fake('them', 'nothing of note')), /them on op\/small: .*0 of them/)
    assert.match(await reason(fake('them', 'hang', 0, 1)), /them: stopped after 1 s/)
    const nowhere = processSide({ name: 'them', command: join(folder, 'no'), args: [], timeoutSeconds: 1 })
    assert.match(await reason(nowhere), /them: .*ENOENT/)
  })

  it('end at once when they are told to, without a reason of the contender', {
    timeout: 30_000,
  }, async () => {
    const controller = new AbortController()
    const hanging = fake('them', 'hang', 0, 60, controller.signal)
    const ended = runRounds(saying('coppice', 1), hanging, SMALL_PRODUCT, 1)
    const waiting = setInterval(() => started().length === 2 && controller.abort(), 20)
    await assert.rejects(ended, { name: 'AbortError' }).finally(() => clearInterval(waiting))
    const { pid } = started()[1]!
    while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 20))
  })

  it('throw when coppice itself fails', async () => {
    const broken = fake('coppice', '', 2)
    await assert.rejects(runRounds(broken, saying('them', 1), SMALL_PRODUCT, 1), /coppice: ended with 2/)
  })
})

describe('a probe', () => {
  const side = (...seconds: number[]): Side => ({
    name: 'them',
    run: async () => lineOf('them', seconds),
  })
  const failing: Side = { name: 'them', run: async () => Promise.reject(new Error('does not load')) }

  it('finds the setting of the least time, passing over what does not run', async () => {
    const sides = [
      { setting: 'slow', side: side(3, 3, 3) },
      { setting: 'broken', side: failing },
      { setting: 'quick', side: side(90, 2, 90) },
      { setting: 'steady', side: side(2.5, 2.5, 2.5) },
    ]
    const found = await probe(sides, SMALL_PRODUCT)
    assert.deepEqual(found, {
      best: 'quick',
      tried: [
        { setting: 'slow', seconds: 3 },
        { setting: 'quick', seconds: 2 },
        { setting: 'steady', seconds: 2.5 },
      ],
    })
  })

  it('says why nothing runs', async () => {
    assert.deepEqual(await probe([{ setting: 'a', side: failing }], SMALL_PRODUCT), {
      notRun: 'does not load',
    })
  })
})
