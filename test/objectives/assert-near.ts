import assert from 'node:assert/strict'

/** Every value within `tolerance` of the expected one, and as many of them. */
export function assertNear(actual: readonly number[], expected: readonly number[], tolerance = 1e-14): void {
  assert.equal(actual.length, expected.length, `${actual} against ${expected}`)
  for (const [i, value] of actual.entries()) {
    assert.ok(Math.abs(value - expected[i]!) <= tolerance, `[${i}]: ${value} against ${expected[i]}`)
  }
}
