import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Decimal as Library } from 'decimal.js'
import { arctangent, exponential, logarithm, sinCos } from '../../src/verifiers/math/values/elementary.ts'

const Wide = Library.clone({ precision: 100 })
const ARGUMENTS =
  '0 0.1 -0.1 1 -1 2.5 3.14159265358979 100.25 -77.7 1000000.5 0.00001 -0.5 0.999 1e-30 12345.678'

describe('elementary functions in fixed point', () => {
  it("agree with the library's to 75 digits", () => {
    for (const x of ARGUMENTS.split(' ').map((text) => new Wide(text))) {
      const pairs: [Library, Library][] = [
        [sinCos(x)[0], x.sin()],
        [sinCos(x)[1], x.cos()],
        [arctangent(x), x.atan()],
      ]
      if (x.abs().lt(20_000)) pairs.push([exponential(x), x.exp()])
      if (x.gt(0)) pairs.push([logarithm(x), x.ln()])
      for (const [index, [value, expected]] of pairs.entries()) {
        const size = Wide.max(1, expected.abs())
        const error = new Wide(value.toString()).minus(expected).abs().div(size)
        assert.ok(error.lt('1e-75'), `function ${index} at ${x}: ${error}`)
      }
    }
  })
})
