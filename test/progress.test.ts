import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createProgressWriter, formatDuration, TimeLeft } from '../src/progress.ts'

/** To the line's start, and clear it. */
const REDRAW = '\r\u001b[2K'

function recorder(isTTY: boolean, columns = 80) {
  const writes: string[] = []
  return { writes, isTTY, columns, write: (text: string) => writes.push(text) }
}

describe('progress', () => {
  it('redraws one line on a terminal, with figures and the time left', () => {
    const output = recorder(true)
    let now = 0
    const progress = createProgressWriter({ output, now: () => now })
    for (let done = 0; done <= 10; done++) {
      progress.update({ label: 'train', done, total: 10, figures: { reward: 0.5 } })
      now += 1000
    }
    progress.end()
    assert.equal(output.writes.filter((text) => text.includes('\n')).length, 1)
    assert.ok(output.writes[5]!.startsWith(REDRAW))
    assert.match(output.writes[5]!, /train █+░+ 5\/10 {2}5s left {2}reward 0\.500$/)
  })

  it('never writes a line wider than the terminal', () => {
    const output = recorder(true, 30)
    const progress = createProgressWriter({ output, now: () => 0 })
    progress.update({
      label: 'train',
      done: 1,
      total: 10,
      figures: { reward: 0.5, entropy: 1.25, accuracy: 0.1 },
    })
    for (const text of output.writes) assert.ok(text.replace(REDRAW, '').length < 30)
  })

  it('writes plain lines from time to time when piped', () => {
    const output = recorder(false)
    let now = 0
    const progress = createProgressWriter({ output, now: () => now, plainIntervalMs: 10_000 })
    for (let done = 0; done <= 25; done++, now += 1000) progress.update({ label: 'train', done, total: 25 })
    progress.end()
    assert.deepEqual(output.writes, [
      'train 10/25  15s left\n',
      'train 20/25  5s left\n',
      'train 25/25  in 26s\n',
    ])
  })

  it('starts a new line for a new label', () => {
    const output = recorder(false)
    const progress = createProgressWriter({ output, now: () => 0 })
    progress.update({ label: 'generate', done: 3, total: 3 })
    progress.update({ label: 'verify', done: 3, total: 3 })
    progress.end()
    assert.deepEqual(
      output.writes.map((line) => line.split(' ')[0]),
      ['generate', 'verify'],
    )
  })

  it('follows a pace that changes', () => {
    const left = new TimeLeft(0, 0)
    assert.equal(left.leftMs(0), undefined)
    let now = 0
    for (let done = 1; done <= 50; done++, now += 100) left.advance(now + 100, done, 100)
    assert.ok(Math.abs(left.leftMs(now)! - 5000) < 1)
    for (let done = 51; done <= 90; done++, now += 1000) left.advance(now + 1000, done, 100)
    assert.ok(left.leftMs(now)! > 8000)
  })

  it('writes durations as people do', () => {
    assert.deepEqual([0, 59_400, 185_000, 7_620_000].map(formatDuration), ['0s', '59s', '3m05s', '2h07m'])
  })
})
