import { perToken } from '../policy/native-rows.ts'
import type { ObjectiveStep } from '../policy/objective-update.ts'
import { nativePolicyLoss, type PolicyLossInputs, type PolicyLossParams } from '../policy-loss.ts'

/** What the loss of an optimiser batch makes of the tokens of its rows; one entry a token of `step.columns`. */
export interface TokenGradients {
  /** -dL/dlog-prob. */
  weights: Float32Array
  /** -dL/dentropy. */
  entropyWeights: Float32Array
  ratios: Float64Array
  clipped: ('low' | 'high' | null)[]
}

/**
 * The op of training on what training gives it: `step` as `Policy.update` applies it, and the policy's log-probs and entropies
 * of its tokens, which are those that the learner computes, bit for bit.
 */
export function tokenGradients(
  step: ObjectiveStep,
  logprobs: Float32Array,
  entropies: Float32Array,
): TokenGradients {
  const { advantages, norm, oldKlMask, refLogprobs, lossParams } = step.input
  const inputs: PolicyLossInputs<Float32Array> = {
    logprobs,
    entropies,
    oldLogprobs: perToken(step.columns.logprobs, 'logprobs'),
    refLogprobs: refLogprobs ?? null,
    oldKlMask: oldKlMask ?? null,
    ...{ advantages, norm, offsets: step.weights.offsets },
  }
  const { dLogprobs, dEntropies } = nativePolicyLoss.policyLoss(inputs, lossParams)
  const ratios = ratiosOf(inputs, lossParams)
  // 0 - x, since -x would make -0 of what takes no part.
  return {
    weights: dLogprobs.map((gradient) => 0 - gradient),
    entropyWeights: dEntropies!.map((gradient) => 0 - gradient),
    ratios,
    clipped: clippedOf(inputs, lossParams, ratios),
  }
}

/** Of every token; of the tokens that take part alone where they share one. */
function ratiosOf(
  { logprobs, oldLogprobs, norm, offsets }: PolicyLossInputs<Float32Array>,
  { importance }: PolicyLossParams,
): Float64Array {
  const logRatios = Float64Array.from(logprobs, (logprob, t) => logprob - oldLogprobs[t]!)
  if (importance !== 'sequence' && importance !== 'sequence-token') return logRatios.map(Math.exp)
  const ratios = new Float64Array(logRatios.length)
  for (let row = 0; row + 1 < offsets.length; row++) {
    const [begin, end] = [offsets[row]!, offsets[row + 1]!]
    const active = logRatios.subarray(begin, end).filter((_, i) => norm[begin + i] !== 0)
    const mean = active.reduce((sum, x) => sum + x, 0) / active.length
    if (active.length > 0) ratios.fill(Math.exp(mean), begin, end)
  }
  return ratios
}

/** Where the surrogate has a gradient without its bounds and none within them or, its ratio being a constant, another. */
function clippedOf(
  inputs: PolicyLossInputs<Float32Array>,
  params: PolicyLossParams,
  ratios: Float64Array,
): ('low' | 'high' | null)[] {
  const surrogate = { ...params, klCoef: 0, entropyCoef: 0, oldKlCoef: 0 }
  const bounded = nativePolicyLoss.policyLoss(inputs, surrogate).dLogprobs
  const free = nativePolicyLoss.policyLoss(inputs, { ...surrogate, clip: false, dualClip: 0 }).dLogprobs
  return Array.from(free, (gradient, t) => {
    const cut = params.surrogate === 'cispo' ? bounded[t] !== gradient : bounded[t] === 0
    if (gradient === 0 || !cut) return null
    return ratios[t]! < 1 ? 'low' : 'high'
  })
}
