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
      const logRatios = active.map((t) => lp[t]! - old[t]!)
      // gmpo clips what it takes the mean of, on the side to which the advantage pushes.
      const bounded = logRatios.map((x, i) => {
        if (params.surrogate !== 'gmpo' || !params.clip) return x
        const advantage = advantages[active[i]!]!
        return advantage > 0 ? Math.min(x, params.clipHigh) : advantage < 0 ? Math.max(x, -params.clipLow) : x
      })
      const sequenceRatio = Math.exp(bounded.reduce((sum, x) => sum + x, 0) / active.length)
      let sequenceGradient = 0
      const sharesGradient =
        params.importance === 'sequence' && params.surrogate !== 'cispo' && params.surrogate !== 'topr'
      for (const [i, t] of active.entries()) {
        const tokenRatio = Math.exp(lp[t]! - old[t]!)
        const ratio = params.importance.startsWith('sequence') ? sequenceRatio : tokenRatio
        const advantage = advantages[t]!
        let surrogate = ratio * advantage
        let slope = ratio * advantage
        if (params.importance === 'none') {
          surrogate = advantage * lp[t]!
          slope = advantage
        } else if (params.surrogate === 'cispo' || params.surrogate === 'topr') {
          const tapered = params.surrogate === 'topr'
          const low = tapered || !params.clip ? 0 : 1 - params.clipLow
          const high = tapered ? 1 : params.clip ? 1 + params.clipHigh : Infinity
          const weight = tapered && advantage > 0 ? 1 : Math.min(Math.max(ratio, low), high)
          surrogate = weight * advantage * lp[t]!
          slope = weight * advantage
          if (!(tapered && advantage > 0)) {
            if (ratio < low) stats.clippedLow++
            if (ratio > high) stats.clippedHigh++
          }
        } else if (params.surrogate === 'sapo') {
          const tau = advantage > 0 ? params.sapoTemperaturePos! : params.sapoTemperatureNeg!
          const gate = 1 / (1 + Math.exp(-tau * (ratio - 1)))
          surrogate = (4 / tau) * gate * advantage
          slope = 4 * gate * (1 - gate) * advantage * ratio
        } else if (params.surrogate === 'gmpo') {
          if (bounded[i]! < logRatios[i]!) stats.clippedHigh++
          if (bounded[i]! > logRatios[i]!) stats.clippedLow++
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
        if (sharesGradient) sequenceGradient -= (norm[t]! * slope) / active.length
        else dLogprobs[t]! -= norm[t]! * slope
        if (dEntropies !== null) dEntropies[t] = -norm[t]! * params.entropyCoef
        stats.activeTokens++
        stats.klSum += kl
        stats.entropySum += entropy
        stats.ratioSum += tokenRatio
        stats.maxAbsLogRatio = Math.max(stats.maxAbsLogRatio, Math.abs(lp[t]! - old[t]!))
      }
      for (const [i, t] of active.entries()) {
        if (bounded[i] === logRatios[i]) dLogprobs[t]! += sequenceGradient
        if (params.oldKlCoef && inputs.oldKlMask![t] === 1) {
          loss += norm[t]! * params.oldKlCoef * Math.abs(logRatios[i]!)
          dLogprobs[t]! += norm[t]! * params.oldKlCoef * Math.sign(logRatios[i]!)
        }
      }
    }
    return { loss, dLogprobs, dEntropies, stats }
  },
}
