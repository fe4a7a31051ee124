import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectiveSpec } from '../../src/objective-options.ts'
import { nativePolicyLoss, policyLoss } from '../../src/policy-loss.ts'
import { assertAgreement, declareAgreementTests } from './agreement.ts'
import { BATCHES, specsFor, toBatch } from './cases.ts'
import { plainKernel } from './plain-kernel.ts'

declareAgreementTests('the native op', nativePolicyLoss, { loss: 1e-12, gradient: 1e-9 })

test('in single precision the native op agrees with the slow reference as far as its inputs allow', () => {
  for (const rows of Object.values(BATCHES)) {
    // A whitened batch's losses sum to 0: what is left of them is their own rounding.
    for (const spec of specsFor(rows))
      assertAgreement(nativePolicyLoss, rows, spec, { loss: 5e-5, gradient: 2e-5 }, 'f32')
  }
})

test('the native op counts what the plain one counts', () => {
  for (const [name, rows] of Object.entries(BATCHES)) {
    for (const spec of specsFor(rows)) {
      const native = policyLoss(toBatch(rows), spec).metrics
      const plain = policyLoss(toBatch(rows), spec, plainKernel).metrics
      assert.deepEqual(Object.keys(native).sort(), Object.keys(plain).sort())
      for (const [key, value] of Object.entries(plain)) {
        const difference = Math.abs(native[key]! - value)
        const where = `${name}, ${JSON.stringify(spec)}, ${key}: ${native[key]} against ${value}`
        assert.ok(difference <= 1e-12 * Math.max(1, Math.abs(value)), where)
      }
    }
  }
})

test('on a first update the ratio is exactly 1 and nothing is clipped, in both precisions', () => {
  const { oldLogprobs: _, ...first } = toBatch(BATCHES['mixed, first update']!)
  const specs: ObjectiveSpec[] = [{ kind: 'psr' }, { kind: 'nsr' }, { kind: 'w-reinforce' }, { kind: 'grpo' }]
  for (const spec of specs) {
    for (const dtype of ['f64', 'f32'] as const) {
      const { metrics } = policyLoss({ ...first, dtype }, spec)
      assert.equal(metrics.ratio_mean, 1)
      assert.equal(metrics.max_abs_log_ratio, 0)
      assert.equal(metrics['clip_ratio/region_mean'], 0)
    }
  }
})
