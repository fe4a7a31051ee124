import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CoppiceError } from '../../src/errors.ts'
import type { ObjectiveSpec } from '../../src/objective-options.ts'
import { type PolicyLossKernel, policyLoss } from '../../src/policy-loss.ts'
import { BATCHES, randomSpecs, specsFor, toBatch } from './cases.ts'
import { type SlowRow, type SlowSpec, slowGradient, slowLoss, taughtRows } from './slow-reference.ts'

/** Largest accepted difference, relative to the largest of the values (and to 1e-3 where all are small). */
export interface Tolerance {
  loss: number
  gradient: number
}

interface Slow {
  loss: number
  logprobs: number[]
  entropies: number[]
}

/** What the slow reference says, once for each batch and objective: its difference quotients take longer than all else here. */
const known = new WeakMap<SlowRow[], Map<string, Slow>>()

function slowlyComputed(rows: SlowRow[], spec: SlowSpec): Slow {
  const ofRows = known.get(rows) ?? new Map<string, Slow>()
  known.set(rows, ofRows)
  const key = JSON.stringify(spec)
  const slow = ofRows.get(key) ?? {
    loss: slowLoss(rows, spec),
    logprobs: slowGradient(rows, spec, 'lp').flat(),
    entropies: slowGradient(rows, spec, 'entropy').flat(),
  }
  ofRows.set(key, slow)
  return slow
}

/** Compares `policyLoss` over a kernel with the slow reference on one batch; throws where they differ. */
export function assertAgreement(
  kernel: PolicyLossKernel,
  rows: SlowRow[],
  spec: ObjectiveSpec,
  tolerance: Tolerance,
  dtype: 'f64' | 'f32' = 'f64',
): void {
  const result = policyLoss({ ...toBatch(rows), dtype }, spec, kernel)
  const slow = spec as SlowSpec
  const expected = slowlyComputed(rows, slow)
  assertClose([result.loss], [expected.loss], tolerance.loss, 'loss')
  assertClose(
    result.tokenGradients.flatMap((row) => [...row]),
    expected.logprobs,
    tolerance.gradient,
    'dL/dlogprobs',
  )
  assertClose(
    result.entropyGradients!.flatMap((row) => [...row]),
    expected.entropies,
    tolerance.gradient,
    'dL/dentropies',
  )
  const active = taughtRows(rows, slow).some(({ row }) => row.mask.includes(1))
  assert.equal(result.emptyClass === null, active, 'emptyClass')
}

/** Declares the comparison of a kernel with the slow reference over every case. */
export function declareAgreementTests(name: string, kernel: PolicyLossKernel, tolerance: Tolerance): void {
  for (const [batchName, rows] of Object.entries(BATCHES)) {
    test(`${name} agrees with the slow reference: ${batchName}`, () => {
      for (const spec of specsFor(rows))
        named(batchName, spec, () => assertAgreement(kernel, rows, spec, tolerance))
    })
  }

  test(`${name}: random combinations of options are refused with a reason or agree`, () => {
    const rows = BATCHES['mixed, later update']!
    let refused = 0
    const specs = randomSpecs(1100, 5)
    for (const spec of specs) {
      named('random', spec, () => {
        try {
          assertAgreement(kernel, rows, spec, tolerance)
        } catch (error) {
          if (!(error instanceof CoppiceError) || error.code !== 'INVALID_ARGUMENT') throw error
          assert.match(error.message, /cannot be: /)
          refused++
        }
      })
    }
    assert.ok(specs.length - refused >= 150, `only ${specs.length - refused} were computed`)
    assert.ok(refused >= 50, `only ${refused} were refused`)
  })
}

function named(batch: string, spec: ObjectiveSpec, check: () => void): void {
  try {
    check()
  } catch (error) {
    throw new Error(`${batch}, ${JSON.stringify(spec)}: ${(error as Error).message}`, { cause: error })
  }
}

function assertClose(actual: number[], expected: number[], tolerance: number, what: string): void {
  assert.equal(actual.length, expected.length, `${what}: length`)
  const scale = Math.max(1e-3, ...expected.map(Math.abs))
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!)
    assert.ok(difference <= tolerance * scale, `${what}[${i}]: ${actual[i]} against ${expected[i]}`)
  }
}
