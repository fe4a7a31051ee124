import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The scripts are plain JavaScript: their modules have no types. */
async function scriptModule(name: string) {
  return await import(new URL(`../../scripts/measure/${name}`, import.meta.url).href)
}

function runScript(name: string, args: readonly string[], env = process.env) {
  return spawnSync(process.execPath, [`scripts/${name}`, ...args], { cwd: root, encoding: 'utf8', env })
}

describe("the measuring scripts' arithmetic", async () => {
  const { interleaved, median, pairedRatios, percentChange, quantile, sharedCoreLoss, signedPercent } =
    await scriptModule('ratios.mjs')

  it('interpolates quantiles of values in any order', () => {
    assert.equal(median([3, 1, 2]), 2)
    assert.equal(median([4, 1, 3, 2]), 2.5)
    assert.equal(quantile([10, 30, 20], 0.25), 15)
    assert.equal(quantile([7], 0.8), 7)
    assert.throws(() => median([]), RangeError)
  })

  it('tells changes in percent of what was before', () => {
    assert.equal(percentChange(103, 100), 3)
    assert.equal(percentChange(50, 100), -50)
    assert.throws(() => percentChange(1, 0), RangeError)
    assert.throws(() => percentChange(1, Number.NaN), RangeError)
    assert.equal(signedPercent(3.004), '+3.00 %')
    assert.equal(signedPercent(-0.5), '-0.50 %')
  })

  it('changes the order from pair to pair', () => {
    assert.deepEqual(interleaved(3), [
      ['a', 'b'],
      ['b', 'a'],
      ['a', 'b'],
    ])
  })

  it('takes ratios pair by pair, so that a drift of the machine is in none of them', () => {
    const { p20, p50, p80 } = pairedRatios([1, 2, 4, 8, 16], [1.1, 2.2, 4.4, 8.8, 17.6])
    for (const ratio of [p20, p50, p80]) assert.ok(Math.abs(ratio - 1.1) < 1e-12)
    assert.throws(() => pairedRatios([1], [1, 2]), RangeError)
  })

  it('lets a busy process have the cores that no thread runs on', () => {
    const near = (actual: { lost: number; share: number }, lost: number, share: number) => {
      assert.ok(Math.abs(actual.lost - lost) < 1e-12)
      assert.ok(Math.abs(actual.share - share) < 1e-12)
    }
    near(sharedCoreLoss(100, 70, 0.5, 2, 2), 0.3, 0.25)
    near(sharedCoreLoss(100, 100, 1, 2, 4), 0, 0)
    near(sharedCoreLoss(100, 75, 1, 4, 4), 0.25, 0.25)
    near(sharedCoreLoss(100, 50, 1, 8, 2), 0.5, 0.5)
  })
})

describe('counts of instructions', async () => {
  const { movedFunctions, parseCallgrind, readableName, topFunctions } = await scriptModule('callgrind.mjs')
  const file = [
    'events: Ir',
    'summary: 1000',
    'fl=(1) a.cpp',
    'fn=(1) coppice::avx2::outer(int)',
    '10 100',
    'cfn=(2)',
    'calls=3 20',
    '11 600',
    '+1 50',
    'fn=(2) coppice::avx2::inner(int)',
    '20 500',
    '* 100',
    'fn=(1)',
    '-2 250',
    'totals: 1000',
  ].join('\n')

  it("are each function's own, whatever it calls", () => {
    const { instructions, functions } = parseCallgrind(file)
    assert.equal(instructions, 1000)
    assert.deepEqual(functions, { 'coppice::avx2::outer(int)': 400, 'coppice::avx2::inner(int)': 600 })
  })

  it('are refused where nothing was counted', () => {
    assert.throws(() => parseCallgrind('events: Ir\ntotals: 0\n'), /counted nothing/)
    assert.throws(() => parseCallgrind(''), /counted nothing/)
  })

  it('are shown for large functions, under names that fit a line', () => {
    const counted = parseCallgrind(file)
    assert.deepEqual(topFunctions(counted, 0.5), { 'inner(int)': 600 })
    assert.deepEqual(Object.keys(topFunctions(counted, 0)), ['inner(int)', 'outer(int)'])
    assert.equal(readableName(`coppice::${'x'.repeat(300)}`).length, 100)
  })

  it('say first what grew most', () => {
    assert.deepEqual(movedFunctions({ a: 10, b: 50, c: 7, new: 20 }, { a: 30, b: 10, c: 7 }), [
      ['b', 50, 10],
      ['new', 20, 0],
      ['a', 10, 30],
    ])
  })
})

describe("the measuring scripts' flags", () => {
  it('are refused where they are unknown or no numbers', () => {
    for (const [script, ...args] of [
      ['ab.mjs', '--pair', '3'],
      ['ab.mjs', '--pairs', '0'],
      ['ab.mjs', '--pairs', '2.5'],
      ['ab.mjs', '--limit', 'ten'],
      ['ab.mjs', 'HEAD'],
      ['beside.mjs', '--rounds'],
      ['beside.mjs', '--seconds', '-1'],
      ['beside.mjs', '--rounds', '1.5'],
      ['instruction-guard.mjs', '--budget', '50'],
    ] as const) {
      const { status, stderr } = runScript(script, args)
      assert.equal(status, 2, `${script} ${args.join(' ')}: ${stderr}`)
      assert.notEqual(stderr.trim(), '')
    }
  })

  it('end with 3 where there is nothing to compare', () => {
    const unknown = runScript('ab.mjs', ['--base', 'no-such-commit'])
    assert.equal(unknown.status, 3)
    assert.match(unknown.stderr, /NOT COMPARABLE: there is no commit no-such-commit/)
    const without = runScript('instruction-guard.mjs', [], { PATH: '/nonexistent' })
    assert.equal(without.status, 3)
    assert.match(without.stderr, /NOT COMPARABLE: valgrind is not installed/)
  })
})
