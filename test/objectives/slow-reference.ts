// A slow, plain float64 reading of the objectives' formulas, for tests only. It shares no code with src/, works on rows of
// plain numbers, and finds gradients by differences of the loss, so that no derivative was worked out by hand.

export interface SlowRow {
  /** log-prob of each token under the policy, when it was sampled, and under the reference policy. */
  lp: number[]
  old: number[]
  ref: number[]
  entropy: number[]
  mask: number[]
  reward: number | null
  verdict: 'right' | 'wrong' | 'unparsed' | 'timed-out' | null
  group: number
  finish: 'stop' | 'length'
}

export interface SlowSpec {
  kind: 'psr' | 'nsr' | 'w-reinforce' | 'reinforce' | 'grpo'
  lambda?: number
  rewards?: 'given' | 'signed'
  std?: 'sample' | 'population'
  stdEpsilon?: number
  epsilon?: number | null
  epsilonHigh?: number | null
  delta?: number | null
  importanceSamplingLevel?: 'token' | 'sequence' | 'none'
  beta?: number
  klKind?: 'k1' | 'k2' | 'k3'
  entropyCoefficient?: number
  scaleRewards?: 'group' | 'batch' | 'none'
  aggregation?: 'token-mean' | 'sequence-mean-token-mean' | 'sequence-mean-token-sum' | 'constant'
  constant?: number | null
  maskTruncatedCompletions?: boolean
  unparsed?: 'wrong' | 'mask'
  timedOut?: 'wrong' | 'mask'
}

/** L of the rows, as one optimiser batch. */
export function slowLoss(rows: SlowRow[], spec: SlowSpec): number {
  const taught = taughtRows(rows, spec).filter(({ row }) => row.mask.includes(1))
  const losses = taught.map(({ row, advantage }) => tokenLosses(row, advantage, spec))
  const lengths = losses.map((tokens) => tokens.length)
  switch (spec.aggregation ?? 'token-mean') {
    case 'token-mean':
      return taught.length === 0 ? 0 : sum(losses.map(sum)) / sum(lengths)
    case 'sequence-mean-token-mean':
      return mean(losses.map((tokens) => sum(tokens) / tokens.length))
    case 'sequence-mean-token-sum':
      return mean(losses.map(sum))
    case 'constant':
      return sum(losses.map(sum)) / spec.constant!
  }
}

/** Who is learnt from, and how strongly. */
export function taughtRows(rows: SlowRow[], spec: SlowSpec): { row: SlowRow; advantage: number }[] {
  const judged = rows.filter((row) => takesPart(row, spec))
  const finished = judged.filter((row) => !(spec.maskTruncatedCompletions && row.finish !== 'stop'))
  switch (spec.kind) {
    case 'psr':
      return finished.filter(isRight).map((row) => ({ row, advantage: 1 }))
    case 'nsr':
      return finished.filter((row) => !isRight(row)).map((row) => ({ row, advantage: -1 }))
    case 'w-reinforce':
      return finished.map((row) => ({ row, advantage: isRight(row) ? (spec.lambda ?? 0.1) : -1 }))
    case 'reinforce':
      if (spec.rewards === 'signed') return finished.map((row) => ({ row, advantage: isRight(row) ? 1 : -1 }))
      return finished.map((row) => ({ row, advantage: row.reward! }))
    case 'grpo':
      return finished.map((row) => {
        const group = judged.filter((other) => other.group === row.group).map((other) => other.reward!)
        return {
          row,
          advantage: grpoAdvantage(
            row.reward!,
            group,
            judged.map((other) => other.reward!),
            spec,
          ),
        }
      })
  }
}

function takesPart(row: SlowRow, spec: SlowSpec): boolean {
  if (row.reward === null) return false
  if (row.verdict === 'unparsed') return spec.unparsed !== 'mask'
  if (row.verdict === 'timed-out') return spec.timedOut === 'wrong'
  return true
}

function isRight(row: SlowRow): boolean {
  return row.verdict === null ? row.reward! > 0 : row.verdict === 'right'
}

/** (r - mean) / (std + eps); nothing where the whole group has one reward. */
function grpoAdvantage(reward: number, group: number[], batch: number[], spec: SlowSpec): number {
  if (group.every((other) => other === group[0])) return 0
  const scale = spec.scaleRewards ?? 'group'
  if (scale === 'none') return reward - mean(group)
  const values = scale === 'group' ? group : batch
  const squares = sum(values.map((value) => (value - mean(values)) ** 2))
  const std = Math.sqrt(squares / (spec.std === 'population' ? values.length : values.length - 1))
  return (reward - mean(group)) / (std + (spec.stdEpsilon ?? 1e-4))
}

/** -surrogate + beta KL - entropy bonus, of the tokens that the policy produced. */
function tokenLosses(row: SlowRow, advantage: number, spec: SlowSpec): number[] {
  const active = row.lp.map((_, t) => t).filter((t) => row.mask[t] === 1)
  const sequenceRatio = Math.exp(mean(active.map((t) => row.lp[t]! - row.old[t]!)))
  return active.map((t) => {
    const lp = row.lp[t]!
    const ratio = importanceOf(spec) === 'sequence' ? sequenceRatio : Math.exp(lp - row.old[t]!)
    const surrogate =
      importanceOf(spec) === 'none' ? advantage * lp : clippedSurrogate(ratio, advantage, spec)
    const d = row.ref[t]! - lp
    const kl = { k1: -d, k2: (d * d) / 2, k3: Math.exp(d) - d - 1 }[spec.klKind ?? 'k3']
    return -surrogate + (spec.beta ?? 0) * kl - (spec.entropyCoefficient ?? 0) * row.entropy[t]!
  })
}

function importanceOf(spec: SlowSpec): 'token' | 'sequence' | 'none' {
  return spec.importanceSamplingLevel ?? (spec.kind === 'reinforce' ? 'none' : 'token')
}

/** min(rho A, clip(rho, 1 - e, 1 + e) A), then the dual clip's floor for A < 0. */
function clippedSurrogate(ratio: number, advantage: number, spec: SlowSpec): number {
  const low = spec.epsilon === undefined ? 0.2 : spec.epsilon
  const high = spec.epsilonHigh === undefined ? low : spec.epsilonHigh
  let clipped = ratio
  if (low !== null && low !== Infinity && clipped < 1 - low) clipped = 1 - low
  if (high !== null && high !== Infinity && clipped > 1 + high) clipped = 1 + high
  const surrogate = Math.min(ratio * advantage, clipped * advantage)
  return spec.delta != null && advantage < 0 ? Math.max(surrogate, spec.delta * advantage) : surrogate
}

/** dL/dlp or dL/dentropy of every token by central differences of fourth order. */
export function slowGradient(rows: SlowRow[], spec: SlowSpec, of: 'lp' | 'entropy'): number[][] {
  return rows.map((row) =>
    row[of].map((_, t) => {
      const coarse = centralDifference(rows, spec, row[of], t, 2e-3)
      const fine = centralDifference(rows, spec, row[of], t, 1e-3)
      // Two steps agree unless a clip boundary lies between them; then the data is unfit to test a gradient with.
      if (Math.abs(coarse - fine) > 1e-8 * Math.max(1, Math.abs(fine))) {
        throw new Error(`a kink of the loss within reach of token ${t}: ${coarse} against ${fine}`)
      }
      return fine
    }),
  )
}

function centralDifference(
  rows: SlowRow[],
  spec: SlowSpec,
  values: number[],
  t: number,
  step: number,
): number {
  const centre = values[t]!
  const at = (shift: number): number => {
    values[t] = centre + shift
    const loss = slowLoss(rows, spec)
    values[t] = centre
    return loss
  }
  return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function mean(values: number[]): number {
  return values.length === 0 ? 0 : sum(values) / values.length
}
