import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expectedGradient, runTabular, type TabularSettings } from '../../src/study/mechanism/tabular.ts'
import { GradientStep } from '../../src/study/mechanism/tabular-optimizer.ts'

const settings: TabularSettings = {
  ...{ strategies: 16, good: 4, acceptance: 0.7, heldoutAcceptance: 0.5, heldoutPrompts: 30, prompts: null },
  ...{ promptsPerStep: 8, numGenerations: 8, steps: 40, updates: 1, epsilon: 0.2 },
  ...{ denominator: 'all', gradient: 'exact', optimizer: { kind: 'sgd', learningRate: 10 } },
}

describe('the tabular form', () => {
  const policy = Float64Array.from([0.5, 0.25, 0.15, 0.1])
  const drawn = [Uint8Array.from([1, 0, 1, 0]), Uint8Array.from([0, 1, 1, 0])]

  it('has the gradient of expected accuracy, by finite differences', () => {
    const accuracyAt = (logits: readonly number[]) => {
      const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0)
      const right = (accepts: Uint8Array) =>
        logits.reduce((total, logit, i) => total + (accepts[i]! * Math.exp(logit)) / sum, 0)
      return (right(drawn[0]!) + right(drawn[1]!)) / 2
    }
    const logits = Array.from(policy, Math.log)
    const gradient = expectedGradient(policy, drawn, 'psr', 'all')!
    logits.forEach((_, i) => {
      const moved = (by: number) => accuracyAt(logits.map((logit, j) => (j === i ? logit + by : logit)))
      const numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5
      assert.ok(Math.abs(numeric - gradient[i]!) < 1e-9, `${i}: ${numeric} and ${gradient[i]}`)
    })
  })

  it('gives PSR and NSR one expected gradient, which dropping rows scales apart', () => {
    const [psr, nsr] = (['psr', 'nsr'] as const).map(
      (method) => expectedGradient(policy, drawn, method, 'all')!,
    )
    for (const [i, value] of psr!.entries()) assert.ok(Math.abs(value - nsr![i]!) < 1e-15)
    const solved = (0.65 + 0.4) / 2
    const [kept, keptWrong] = (['psr', 'nsr'] as const).map(
      (method) => expectedGradient(policy, drawn, method, 'kept')!,
    )
    kept!.forEach((value, i) => {
      assert.ok(Math.abs(value * solved - psr![i]!) < 1e-15)
      assert.ok(Math.abs(keptWrong![i]! * (1 - solved) - psr![i]!) < 1e-15)
    })
  })

  it('ends in one policy for PSR and NSR under the exact gradient and SGD, and in two under sampling', () => {
    const untrained = runTabular({ ...settings, steps: 0 }, 'psr', 1)
    const exact = [runTabular(settings, 'psr', 1), runTabular(settings, 'nsr', 1)]
    assert.ok(Math.abs(exact[0]!.passAtK['16']! - exact[1]!.passAtK['16']!) < 1e-9)
    assert.ok(exact[0]!.trainAccuracy > 2 * untrained.trainAccuracy)
    const sampled: TabularSettings = { ...settings, gradient: 'sampled' }
    const apart = [runTabular(sampled, 'psr', 1), runTabular(sampled, 'nsr', 1)]
    assert.ok(Math.abs(apart[0]!.passAtK['16']! - apart[1]!.passAtK['16']!) > 1e-6)
  })

  it('samples what it expects: the mean of many sampled steps is the exact one', () => {
    const once: TabularSettings = { ...settings, steps: 1, promptsPerStep: 4000, epsilon: null }
    for (const method of ['psr', 'nsr', 'reinforce', 'w-reinforce'] as const) {
      const exact = runTabular(once, method, 3)
      const sampled = runTabular({ ...once, gradient: 'sampled' }, method, 3)
      assert.ok(Math.abs(exact.trainAccuracy - sampled.trainAccuracy) < 0.01, method)
    }
  })

  it('makes no step for NSR when nothing is wrong, and stops the clip only where it binds', () => {
    const solvable: TabularSettings = { ...settings, gradient: 'sampled', good: 16, acceptance: 1 }
    const untouched = runTabular({ ...solvable, steps: 0 }, 'nsr', 2)
    assert.deepEqual(runTabular(solvable, 'nsr', 2), untouched)
    assert.notDeepEqual(runTabular(solvable, 'psr', 2), untouched)
    const several: TabularSettings = { ...settings, gradient: 'sampled', updates: 4, good: 2 }
    assert.notDeepEqual(runTabular(several, 'nsr', 2), runTabular({ ...several, epsilon: null }, 'nsr', 2))
    const one: TabularSettings = { ...several, updates: 1 }
    assert.deepEqual(runTabular(one, 'nsr', 2), runTabular({ ...one, epsilon: null }, 'nsr', 2))
  })

  it('takes steps of Adam as written by hand', () => {
    const params = Float64Array.from([1])
    const adam = new GradientStep({ kind: 'adam', learningRate: 0.1 }, 1)
    adam.apply(params, Float64Array.from([2]))
    assert.ok(Math.abs(params[0]! - 1.1) < 1e-8)
    adam.apply(params, Float64Array.from([-1]))
    const first = (0.9 * 0.2 - 0.1) / (1 - 0.81)
    const second = Math.sqrt((0.999 * 0.004 + 0.001) / (1 - 0.999 ** 2))
    assert.ok(Math.abs(params[0]! - (1.1 + (0.1 * first) / second)) < 1e-8)
  })
})
