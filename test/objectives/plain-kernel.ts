import type { PolicyLossKernel } from '../../src/policy-loss.ts'

/**
 * The op `policy_loss` of native/ops/ops.h in a few lines of float64, gradients by hand. It stands in for the addon where
 * a test is about what happens around the op, and is a second opinion on the native one.
 */
export const plainKernel: PolicyLossKernel = {
  policyLoss(inputs, params) {
    const { logprobs: lp, oldLogprobs: old, refLogprobs: ref, entropies, advantages, norm, offsets } = inputs
    const dLogprobs = lp.slice().fill(0) as typeof lp
    const dEntropies = entropies === null ? null : (entropies.slice().fill(0) as typeof lp)
    const stats = {
      activeTokens: 0,
      clippedLow: 0,
      clippedHigh: 0,
      klSum: 0,
      entropySum: 0,
      ratioSum: 0,
      maxAbsLogRatio: 0,
    }
    let loss = 0
    for (let row = 0; row + 1 < offsets.length; row++) {
      const active: number[] = []
      for (let t = offsets[row]!; t < offsets[row + 1]!; t++) if (norm[t] !== 0) active.push(t)
      let logRatioSum = 0
      for (const t of active) logRatioSum += lp[t]! - old[t]!
      const sequenceRatio = Math.exp(logRatioSum / active.length)
      let sequenceGradient = 0
      for (const t of active) {
        const tokenRatio = Math.exp(lp[t]! - old[t]!)
        const ratio = params.importance === 'sequence' ? sequenceRatio : tokenRatio
        const advantage = advantages[t]!
        let surrogate = ratio * advantage
        let slope = ratio * advantage
        if (params.importance === 'none') {
          surrogate = advantage * lp[t]!
          slope = advantage
        } else {
          const low = 1 - params.clipLow
          const high = 1 + params.clipHigh
          if (params.clip && advantage > 0 && ratio > high) {
            surrogate = high * advantage
            slope = 0
            stats.clippedHigh++
          } else if (params.clip && advantage < 0 && ratio < low) {
            surrogate = low * advantage
            slope = 0
            stats.clippedLow++
          } else if (params.dualClip > 0 && advantage < 0 && ratio > params.dualClip) {
            surrogate = params.dualClip * advantage
            slope = 0
            stats.clippedHigh++
          }
        }
        const d = ref === null ? 0 : ref[t]! - lp[t]!
        const kl = { k1: -d, k2: (d * d) / 2, k3: Math.exp(d) - d - 1 }[params.klKind]
        const klSlope = { k1: 1, k2: -d, k3: 1 - Math.exp(d) }[params.klKind]
        const entropy = entropies === null ? 0 : entropies[t]!
        loss += norm[t]! * (-surrogate + params.klCoef * kl - params.entropyCoef * entropy)
        dLogprobs[t] = norm[t]! * params.klCoef * klSlope
        if (params.importance === 'sequence') sequenceGradient -= (norm[t]! * slope) / active.length
        else dLogprobs[t]! -= norm[t]! * slope
        if (dEntropies !== null) dEntropies[t] = -norm[t]! * params.entropyCoef
        stats.activeTokens++
        stats.klSum += kl
        stats.entropySum += entropy
        stats.ratioSum += tokenRatio
        stats.maxAbsLogRatio = Math.max(stats.maxAbsLogRatio, Math.abs(lp[t]! - old[t]!))
      }
      for (const t of active) dLogprobs[t]! += sequenceGradient
    }
    return { loss, dLogprobs, dEntropies, stats }
  },
}
