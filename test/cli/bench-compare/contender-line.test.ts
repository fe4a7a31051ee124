import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isNotRun, parseContenderLine } from '../../../src/cli/bench-compare/contender-line.ts'
import { lineOf } from './sample-case.ts'

const GOOD = lineOf('them', [0.5, 0.25], 8)

function refuses(line: object | string, message: RegExp): void {
  const text = typeof line === 'string' ? line : JSON.stringify(line)
  assert.throws(() => parseContenderLine(text, 'them on op/x'), { code: 'DATA_CORRUPT', message })
}

describe('the line of a contender', () => {
  it('is read past what a library prints', () => {
    const line = parseContenderLine(`Loading ...\n${JSON.stringify(GOOD)}\ndone\n`, 'them on op/x')
    assert.deepEqual(line, GOOD)
    assert.equal(isNotRun(line), false)
  })

  it('may say why there is nothing', () => {
    const { contender, variant, op, shape } = GOOD
    const line = { contender, variant, op, shape, not_run: 'no compiler' }
    assert.equal(isNotRun(parseContenderLine(JSON.stringify(line), 'them')), true)
    refuses({ ...line, not_run: 3 }, /them on op\/x, not_run: .*expected a text.*received 3/)
  })

  it('is refused by the name of the field that is missing', () => {
    for (const name of Object.keys(GOOD)) {
      const { [name]: _left, ...rest } = { ...GOOD } as Record<string, unknown>
      refuses(rest, new RegExp(`them on op/x, ${name}: .*received nothing`))
    }
  })

  it('is refused by the name of the field that is wrong', () => {
    refuses({ ...GOOD, seconds: [] }, /seconds: .*received \[\]/)
    refuses({ ...GOOD, seconds: [0.1, -1] }, /seconds: .*above 0/)
    refuses({ ...GOOD, seconds: [0.1, null] }, /seconds: /)
    refuses({ ...GOOD, seconds: '0.1' }, /seconds: /)
    refuses({ ...GOOD, threads: 0 }, /threads: .*whole number from 1/)
    refuses({ ...GOOD, tokens: 1.5 }, /tokens: .*whole number from 0/)
    refuses({ ...GOOD, peak_rss_mib: 'much' }, /peak_rss_mib: .*received "much"/)
    refuses({ ...GOOD, versions: {} }, /versions: /)
    refuses({ ...GOOD, versions: { torch: 2 } }, /versions: /)
    refuses({ ...GOOD, variant: null }, /variant: .*expected a text/)
  })

  it('is one line of JSON', () => {
    refuses('', /expected one line of JSON; received 0 of them/)
    refuses(`${JSON.stringify(GOOD)}\n${JSON.stringify(GOOD)}`, /received 2 of them/)
    refuses('{"contender": ', /expected JSON; received \{"contender"/)
  })
})
