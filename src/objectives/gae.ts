/** Tokens of completions as the steps of episodes. */
export interface Episodes {
  /** Rows + 1 entries from 0: row i's tokens are [offsets[i], offsets[i + 1]) of the arrays below. */
  offsets: ArrayLike<number>
  /** 0 where the policy did not produce the token: no step of the episode. Absent: it produced all of them. */
  mask?: ArrayLike<number | boolean> | undefined
  /** What each step earns. */
  rewards: ArrayLike<number>
  /** What the critic expected to be earned from each step on. */
  values: ArrayLike<number>
}

/** One entry a token, 0 where it is no step. */
export interface TokenEstimates {
  advantages: Float64Array
  /** What the values are to be: the advantage, before any whitening, and the value. */
  returns: Float64Array
}

/**
 * Generalised advantage estimates (arXiv 1506.02438, eq. 16) of episodes that end with their last step, in float64:
 * delta_t = r_t + gamma V_{t+1} - V_t, A_t = delta_t + gamma lambda A_{t+1}, R_t = A_t + V_t, where t + 1 is the next step.
 */
export function generalisedAdvantages(episodes: Episodes, gamma: number, lambda: number): TokenEstimates {
  const { offsets, mask, rewards, values } = episodes
  const rows = offsets.length - 1
  const advantages = new Float64Array(offsets[rows]!)
  const returns = new Float64Array(offsets[rows]!)
  for (let row = 0; row < rows; row++) {
    let nextValue = 0
    let nextAdvantage = 0
    for (let t = offsets[row + 1]! - 1; t >= offsets[row]!; t--) {
      if (mask !== undefined && !mask[t]) continue
      const value = values[t]!
      nextAdvantage = rewards[t]! + gamma * nextValue - value + gamma * lambda * nextAdvantage
      nextValue = value
      advantages[t] = nextAdvantage
      returns[t] = nextAdvantage + value
    }
  }
  return { advantages, returns }
}
