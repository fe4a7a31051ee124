import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Policy } from '../../src/policy.ts'
import { float32List, readTable } from '../../src/rollouts.ts'
import {
  type ExpectedSteps,
  fixturePath,
  readFloats,
  readJson,
  readRows,
  relativeDifference,
} from './fixtures.ts'

// Ten optimiser steps on one batch against torch.optim.AdamW in float64 (make_fixtures.py): losses, gradient norms before
// clipping, and how far the parameters went.
const LOSS_BOUND = 3e-5
const NORM_BOUND = 1e-4
const MOVEMENT_BOUND = 2e-3

interface Row {
  completion_mask: number[]
}

const steps = readJson<Record<string, ExpectedSteps>>(fixturePath('adamw', 'expected.json'))

for (const [name, { setting, losses, grad_norms: gradNorms }] of Object.entries(steps)) {
  for (const tokenBudget of [8192, 16]) {
    test(`ten AdamW steps, ${name}, token budget ${tokenBudget}: losses, norms and parameters of torch in float64`, async (t) => {
      const path = fixturePath('adamw', 'rollouts.jsonl')
      const batch = await readTable(path)
      const mask = readRows<Row>(path).flatMap((row) => row.completion_mask)
      const active = mask.filter((bit) => bit === 1).length
      const clipped = setting.importance === 'token'
      const policy = await Policy.load({ model: fixturePath('adamw'), device: 'cpu' })
      try {
        const initial = new Map<string, Float32Array>()
        const final = readFloats(fixturePath('adamw', `final-${name}.safetensors`))
        for (const tensor of final.keys()) initial.set(tensor, await policy.parameter(tensor))
        let worstLoss = 0
        for (const [step, expected] of losses.entries()) {
          const stats = await policy.applyUpdate(batch, {
            advantages: float32List(batch, 'advantages').values,
            norm: Float32Array.from(mask, (bit) => bit / active),
            refLogprobs: float32List(batch, 'ref_logprobs').values,
            lossParams: {
              importance: setting.importance,
              clip: clipped,
              clipLow: setting.clip,
              clipHigh: setting.clip,
              dualClip: 0,
              klKind: 'k3',
              klCoef: setting.kl_coef,
              entropyCoef: setting.entropy_coef,
            },
            optimizer: {
              learningRate: setting.learning_rate,
              weightDecay: setting.weight_decay,
              maxGradNorm: setting.max_grad_norm,
            },
            tokenBudget,
          })
          const what = `step ${step + 1}`
          assert.equal(stats.optimizerStep, step + 1)
          const loss = Math.abs(stats.loss - expected)
          assert.ok(loss <= LOSS_BOUND, `${what}: loss ${stats.loss}, not ${expected}`)
          worstLoss = Math.max(worstLoss, loss)
          const norm = Math.abs(stats.gradNorm / gradNorms[step]! - 1)
          assert.ok(norm <= NORM_BOUND, `${what}: gradient norm ${stats.gradNorm}, not ${gradNorms[step]}`)
        }
        let worst = { tensor: '', difference: 0 }
        for (const [tensor, expected] of final) {
          const before = initial.get(tensor)!
          const moved = (values: Float32Array) => values.map((value, i) => value - before[i]!)
          const difference = relativeDifference(moved(await policy.parameter(tensor)), moved(expected))
          if (!(difference <= worst.difference)) worst = { tensor, difference }
        }
        t.diagnostic(`losses differ by ${worstLoss.toExponential(1)}`)
        t.diagnostic(`movement of ${worst.tensor} differs by ${worst.difference.toExponential(1)}`)
        assert.ok(
          worst.difference <= MOVEMENT_BOUND,
          `movement of ${worst.tensor} differs by ${worst.difference}`,
        )
      } finally {
        await policy.dispose()
      }
    })
  }
}
