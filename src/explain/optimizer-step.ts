import { tensorShapesOf } from '../checkpoint.ts'
import type { ObjectiveSpec } from '../objective-options.ts'
import { refuseUnknownKeys, requireNumber, requireOneOf } from '../options.ts'
import type { MicroBatchOptions, OptimizerOptions, Policy, UpdateResult } from '../policy.ts'
import type { RolloutBatch } from '../rollouts.ts'

/** The optimiser step that is made. */
export type StepOptions =
  /** As training makes it, with the moments that the policy has; without any it is AdamW's first. */
  | ({ kind: 'adamw' } & OptimizerOptions)
  /** parameters -= learningRate * gradient, and nothing else: what the formulas of policy gradients are about. */
  | ({ kind: 'sgd' } & SgdOptions)

export interface SgdOptions {
  learningRate: number
  /** Largest norm of the whole gradient; 0 switches clipping off. Default 1. */
  maxGradNorm?: number
}

interface Work extends MicroBatchOptions {
  objective: ObjectiveSpec
  temperature?: number
  signal?: AbortSignal
}

/** Refuses what cannot be before anything is computed. */
export function requireStep(optimizer: StepOptions): void {
  requireOneOf(optimizer?.kind, 'explain.optimizer.kind', ['adamw', 'sgd'])
  requireNumber(optimizer.learningRate, 'explain.optimizer.learningRate', 0)
  if (optimizer.kind !== 'sgd') return
  refuseUnknownKeys(optimizer, ['kind', 'learningRate', 'maxGradNorm'], 'explain.optimizer (sgd)')
  requireNumber(optimizer.maxGradNorm ?? 1, 'explain.optimizer.maxGradNorm', 0)
}

/** Makes the step on `policy`, which is changed; a batch that teaches nothing makes none. */
export async function makeStep(
  policy: Policy,
  batch: RolloutBatch,
  { kind, ...optimizer }: StepOptions,
  work: Work,
): Promise<UpdateResult> {
  if (kind === 'adamw') return policy.update(batch, { ...work, ...optimizer })
  // AdamW at a rate of 0 moves nothing and leaves the gradient behind.
  const { skipped, metrics } = await policy.update(batch, {
    ...{ ...work, learningRate: 0, weightDecay: 0, maxGradNorm: 0 },
  })
  const { lost_in_bf16: _, ...own } = metrics
  if (skipped === undefined) await descend(policy, optimizer, metrics.grad_norm!)
  return { skipped, metrics: own }
}

async function descend(
  policy: Policy,
  { learningRate, maxGradNorm = 1 }: SgdOptions,
  gradNorm: number,
): Promise<void> {
  // As the engine clips.
  const scale = maxGradNorm > 0 && gradNorm > maxGradNorm ? maxGradNorm / (gradNorm + 1e-6) : 1
  for (const { name } of tensorShapesOf(policy.config)) {
    const values = await policy.parameter(name)
    const gradient = await policy.gradient(name)
    await policy.setParameter(
      name,
      values.map((value, i) => value - learningRate * scale * gradient[i]!),
    )
  }
}
