// A slow, plain float64 reading of the objectives' formulas, for tests only. It shares no code with src/, works on rows of
// plain numbers, and finds gradients by differences of the loss, so that no derivative was worked out by hand.

import type { ObjectiveKind } from '../../src/objective-options.ts'

export interface SlowRow {
  /** log-prob of each token under the policy, when it was sampled, and under the reference policy. */
  lp: number[]
  old: number[]
  /** Under the distribution that the tokens were drawn from. */
  sampler: number[]
  ref: number[]
  entropy: number[]
  /** What a critic expects from each token on. */
  values: number[]
  mask: number[]
  reward: number | null
  verdict: 'right' | 'wrong' | 'unparsed' | 'timed-out' | null
  group: number
  finish: 'stop' | 'length'
  /** Reward of the greedy completion of the prompt. */
  baseline: number | null
}

export interface SlowSpec {
  kind: ObjectiveKind
  lambda?: number
  rewards?: 'given' | 'signed'
  baseline?: 'none' | 'group' | 'batch'
  meanEpsilon?: number
  std?: 'sample' | 'population'
  stdEpsilon?: number
  epsilon?: number | null
  epsilonHigh?: number | null
  delta?: number | null
  importanceSamplingLevel?: 'token' | 'sequence' | 'sequence-token' | 'none'
  surrogate?: 'clip' | 'cispo' | 'gmpo' | 'sapo' | 'topr'
  sapoTemperaturePos?: number | null
  sapoTemperatureNeg?: number | null
  importanceCorrection?:
    | 'none'
    | 'token-truncate'
    | 'token-mask'
    | 'sequence-truncate'
    | 'sequence-mask'
    | 'sequence-geometric-mask'
  importanceCorrectionMin?: number | null
  importanceCorrectionMax?: number | null
  covRatio?: number
  covLow?: number
  covHigh?: number
  oldKlCoefficient?: number
  gamma?: number
  gaeLambda?: number
  whitenAdvantages?: boolean
  positiveWeight?: number
  negativeWeight?: number
  beta?: number
  klKind?: 'k1' | 'k2' | 'k3'
  klIn?: 'loss' | 'reward'
  entropyCoefficient?: number
  scaleRewards?: 'group' | 'batch' | 'none'
  aggregation?: 'token-mean' | 'sequence-mean-token-mean' | 'sequence-mean-token-sum' | 'constant'
  constant?: number | null
  filterGroups?: 'none' | 'constant'
  maskTruncatedCompletions?: boolean
  unparsed?: 'wrong' | 'mask'
  timedOut?: 'wrong' | 'mask'
}

/** Where a kind differs from the common defaults. */
const KIND_DEFAULTS: Partial<Record<ObjectiveKind, Omit<SlowSpec, 'kind'>>> = {
  reinforce: { importanceSamplingLevel: 'none' },
  grpo: { scaleRewards: 'group' },
  'dr-grpo': { aggregation: 'constant' },
  dapo: { scaleRewards: 'group', epsilonHigh: 0.28, filterGroups: 'constant' },
  gspo: {
    ...{ scaleRewards: 'group', importanceSamplingLevel: 'sequence', epsilon: 3e-4, epsilonHigh: 4e-4 },
    aggregation: 'sequence-mean-token-mean',
  },
  rloo: { importanceSamplingLevel: 'none', aggregation: 'sequence-mean-token-sum' },
  gpg: { importanceSamplingLevel: 'none' },
  'reinforce++': { klIn: 'reward', klKind: 'k1' },
  remax: { importanceSamplingLevel: 'none', aggregation: 'sequence-mean-token-sum' },
  cispo: { scaleRewards: 'group', surrogate: 'cispo' },
  gmpo: { scaleRewards: 'group', surrogate: 'gmpo', aggregation: 'sequence-mean-token-mean' },
  sapo: { scaleRewards: 'group', surrogate: 'sapo', aggregation: 'sequence-mean-token-mean' },
  topr: { surrogate: 'topr' },
  'clip-cov': { scaleRewards: 'group' },
  'kl-cov': { scaleRewards: 'group', epsilon: null, epsilonHigh: null },
  'gspo-token': {
    ...{ scaleRewards: 'group', importanceSamplingLevel: 'sequence-token', epsilon: 3e-4, epsilonHigh: 4e-4 },
    aggregation: 'sequence-mean-token-mean',
  },
}

/** Where a surrogate differs from the objective it is asked of. */
const SURROGATE_DEFAULTS: Partial<Record<string, Omit<SlowSpec, 'kind'>>> = {
  cispo: { importanceSamplingLevel: 'token', epsilon: null, epsilonHigh: 4 },
  gmpo: { importanceSamplingLevel: 'sequence', epsilon: 0.4, epsilonHigh: undefined! },
  sapo: { importanceSamplingLevel: 'token', sapoTemperaturePos: 1, sapoTemperatureNeg: 1.05 },
  topr: { importanceSamplingLevel: 'token' },
}

function withDefaults(spec: SlowSpec): SlowSpec {
  const given = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined))
  const ofKind = { ...KIND_DEFAULTS[spec.kind], ...given }
  return {
    ...KIND_DEFAULTS[spec.kind],
    ...SURROGATE_DEFAULTS[ofKind.surrogate ?? 'clip'],
    ...given,
  } as SlowSpec
}

/** A row's log-probs where a formula stops the gradient: those before a difference is taken. */
type Stopped = Map<SlowRow, number[]>

/** L of the rows, as one optimiser batch. `advised`: the rows' advantages, which do not move with the policy. */
export function slowLoss(
  rows: SlowRow[],
  given: SlowSpec,
  stopped: Stopped = new Map(),
  advised = taughtRows(rows, given),
): number {
  const spec = withDefaults(given)
  const taught = advised.filter(({ row }) => row.mask.includes(1))
  const chosen = chosenTokens(taught, spec)
  const ofCritic = spec.kind === 'ppo' ? estimatedAdvantages(taught, spec) : null
  const losses = taught.map(({ row, advantage, ofTokens }, i) => {
    const own = ofTokens ?? ofCritic?.[i]
    const isChosen = (t: number) => chosen.has(`${i} ${t}`)
    const weights = correctionOf(row, spec)
    const advantages = row.lp.map((_, t) => {
      return spec.kind === 'clip-cov' && isChosen(t) ? 0 : (own?.[t] ?? advantage) * weights[t]!
    })
    const losses = tokenLosses(row, stopped.get(row) ?? row.lp, advantages, spec)
    if (spec.kind !== 'kl-cov') return losses
    const active = row.lp.map((_, t) => t).filter((t) => row.mask[t] === 1)
    return active.map((t, j) => {
      const penalty = (spec.oldKlCoefficient ?? 1) * Math.abs(row.lp[t]! - row.old[t]!)
      return losses[j]! + (isChosen(t) ? penalty : 0)
    })
  })
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

/** The tokens that clip-cov and kl-cov choose. Those of clip-cov are all between its bounds: chance is not for a reference. */
function chosenTokens(taught: { row: SlowRow; advantage: number }[], spec: SlowSpec): Set<string> {
  if (spec.kind !== 'clip-cov' && spec.kind !== 'kl-cov') return new Set()
  const tokens = taught.flatMap(({ row, advantage }, i) =>
    row.old.flatMap((old, t) => (row.mask[t] === 1 ? [{ name: `${i} ${t}`, old, advantage }] : [])),
  )
  const [meanAdvantage, meanOld] = [mean(tokens.map((of) => of.advantage)), mean(tokens.map((of) => of.old))]
  const covariance = (of: (typeof tokens)[0]) => (of.advantage - meanAdvantage) * (of.old - meanOld)
  const names = (of: typeof tokens) => new Set(of.map(({ name }) => name))
  if (spec.kind === 'clip-cov') {
    if (spec.covRatio !== 1) throw new Error('the reference of clip-cov is for a covRatio of 1')
    const within = (value: number) => value > (spec.covLow ?? 1) && value < (spec.covHigh ?? 5)
    return names(tokens.filter((of) => within(covariance(of))))
  }
  const count = Math.max(1, Math.floor((spec.covRatio ?? 2e-4) * tokens.length))
  return names(tokens.toSorted((a, b) => covariance(b) - covariance(a)).slice(0, count))
}

/** sum_l (gamma lambda)^l delta_{t+l} of every token that the policy produced, row by row, whitened over all of them. */
function estimatedAdvantages(taught: { row: SlowRow; advantage: number }[], spec: SlowSpec): number[][] {
  const { gamma = 1, gaeLambda = 1, whitenAdvantages = true } = spec
  const raw = taught.map(({ row, advantage: reward }) => {
    const active = row.values.map((_, t) => t).filter((t) => row.mask[t] === 1)
    const deltas = active.map((t, i) => {
      const last = i === active.length - 1
      const penalty = spec.klIn === 'reward' ? spec.beta! * klOf(row.ref[t]! - row.old[t]!, spec) : 0
      const next = last ? 0 : row.values[active[i + 1]!]!
      return (last ? reward : 0) - penalty + gamma * next - row.values[t]!
    })
    const advantages = row.values.map(() => 0)
    for (const [i, t] of active.entries()) {
      advantages[t] = sum(deltas.slice(i).map((delta, l) => (gamma * gaeLambda) ** l * delta))
    }
    return advantages
  })
  if (!whitenAdvantages) return raw
  const all = raw.flatMap((advantages, i) => advantages.filter((_, t) => taught[i]!.row.mask[t] === 1))
  const variance = sum(all.map((value) => (value - mean(all)) ** 2)) / Math.max(1, all.length - 1)
  return raw.map((advantages) => advantages.map((value) => (value - mean(all)) / Math.sqrt(variance + 1e-8)))
}

/** The importance weight of each token of a row. */
function correctionOf(row: SlowRow, spec: SlowSpec): number[] {
  const kind = spec.importanceCorrection ?? 'none'
  if (kind === 'none') return row.lp.map(() => 1)
  const [defaultLow, defaultHigh] =
    kind === 'token-mask' ? [0.5, 5] : [0, kind === 'sequence-geometric-mask' ? Infinity : 3]
  const low = spec.importanceCorrectionMin === undefined ? defaultLow! : (spec.importanceCorrectionMin ?? 0)
  const high =
    spec.importanceCorrectionMax === undefined ? defaultHigh! : (spec.importanceCorrectionMax ?? Infinity)
  const ratios = row.old.map((old, t) => Math.exp(old - row.sampler[t]!))
  const active = ratios.filter((_, t) => row.mask[t] === 1)
  const product = active.reduce((total, ratio) => total * ratio, 1)
  const masked = (weight: number) => (weight < low || weight > high ? 0 : weight)
  switch (kind) {
    case 'token-truncate':
      return ratios.map((ratio) => clamp(ratio, low, high))
    case 'token-mask':
      return ratios.map(masked)
    case 'sequence-truncate':
      return ratios.map(() => clamp(product, low, high))
    case 'sequence-mask':
      return ratios.map(() => masked(product))
    default:
      return ratios.map(() => (masked(product ** (1 / active.length)) === 0 ? 0 : 1))
  }
}

export interface TaughtRow {
  row: SlowRow
  advantage: number
  /** Where the tokens' differ. */
  ofTokens?: number[]
}

/** Who is learnt from, and how strongly. */
export function taughtRows(rows: SlowRow[], given: SlowSpec): TaughtRow[] {
  if (given.kind === 'reinforce++') return taughtByReturns(rows, withDefaults(given))
  if (given.klIn !== 'reward' || given.kind === 'ppo')
    return taughtByReward(rows, given, (row) => row.reward!)
  const after = new Map(rows.map((row) => [row, rewardLessKl(row, given)]))
  return taughtByReward(rows, given, (row) => after.get(row)!)
}

/** reinforce++: every return summed by itself, then whitened over all tokens of the rows that count. */
function taughtByReturns(rows: SlowRow[], spec: SlowSpec): TaughtRow[] {
  const taught = taughtByReward(rows, spec, (row) => row.reward!)
  const unfinished = { ...spec, maskTruncatedCompletions: false }
  const counted = taughtByReward(rows, unfinished, (row) => row.reward!).map(({ row }) => row)
  const returnsOf = (row: SlowRow) =>
    row.lp.map((_, t) => {
      const ahead = row.lp.map((_, u) => u).filter((u) => u >= t && row.mask[u] === 1)
      if (row.mask[t] === 0) return null
      const earned = (u: number) => {
        const penalty = spec.klIn === 'reward' ? (spec.beta ?? 0) * klOf(row.ref[u]! - row.old[u]!, spec) : 0
        return (u === ahead.at(-1) ? row.reward! : 0) - penalty
      }
      return sum(ahead.map((u, i) => (spec.gamma ?? 1) ** i * earned(u)))
    })
  const all = counted.flatMap(returnsOf).filter((value) => value !== null)
  const scale = deviation(all, spec) + (spec.stdEpsilon ?? 1e-4)
  const equal = all.every((value) => value === all[0])
  return taught.map(({ row }) => ({
    row,
    advantage: Number.NaN,
    ofTokens: returnsOf(row).map((value) => (value === null || equal ? 0 : (value - mean(all)) / scale)),
  }))
}

/** reward - beta sum_t kl_t, of the tokens that the policy produced, as they were sampled. */
function rewardLessKl(row: SlowRow, spec: SlowSpec): number {
  const terms = row.old.map((old, t) => (row.mask[t] === 1 ? klOf(row.ref[t]! - old, spec) : 0))
  return row.reward! - spec.beta! * sum(terms)
}

function klOf(d: number, spec: SlowSpec): number {
  return { k1: -d, k2: (d * d) / 2, k3: Math.exp(d) - d - 1 }[spec.klKind ?? 'k3']
}

function taughtByReward(
  rows: SlowRow[],
  given: SlowSpec,
  rewardOf: (row: SlowRow) => number,
): { row: SlowRow; advantage: number }[] {
  const spec = withDefaults(given)
  const groupOf = (row: SlowRow, among: SlowRow[]) => among.filter((other) => other.group === row.group)
  const equal = (group: SlowRow[]) => group.every((other) => other.reward === group[0]!.reward)
  const counted = rows.filter((row) => takesPart(row, spec))
  const judged =
    spec.filterGroups === 'constant' ? counted.filter((row) => !equal(groupOf(row, counted))) : counted
  const finished = judged.filter((row) => !(spec.maskTruncatedCompletions && row.finish !== 'stop'))
  if (spec.kind === 'psr') return finished.filter(isRight).map((row) => ({ row, advantage: 1 }))
  if (spec.kind === 'nsr')
    return finished.filter((row) => !isRight(row)).map((row) => ({ row, advantage: -1 }))
  const paid = new Map(judged.map((row) => [row, { ...row, reward: rewardOf(row) }]))
  const paidRows = [...paid.values()]
  const mixed = finished.filter((row) => !equal(groupOf(paid.get(row)!, paidRows))).length
  return finished.map((row) => {
    const group = groupOf(row, paidRows)
    const advantage = advantageOf(paid.get(row)!, group, paidRows, spec)
    return {
      row,
      advantage: spec.kind === 'gpg' && mixed > 0 ? (advantage * finished.length) / mixed : advantage,
    }
  })
}

function advantageOf(row: SlowRow, group: SlowRow[], batch: SlowRow[], spec: SlowSpec): number {
  const reward = row.reward!
  const others = group.filter((other) => other !== row).map((other) => other.reward!)
  const centred = reward - mean(group.map((other) => other.reward!))
  const unmixed = others.every((other) => other === reward)
  switch (spec.kind) {
    case 'ppo':
      return reward
    case 'topr':
      return isRight(row) ? (spec.positiveWeight ?? 1) : -(spec.negativeWeight ?? 1)
    case 'w-reinforce':
      return isRight(row) ? (spec.lambda ?? 0.1) : -1
    case 'reinforce': {
      const value = (of: SlowRow) => (spec.rewards === 'signed' ? (isRight(of) ? 1 : -1) : of.reward!)
      if ((spec.baseline ?? 'none') === 'none') return value(row)
      const among = spec.baseline === 'group' ? group : batch
      if (among.every((other) => value(other) === value(row))) return 0
      const difference = value(row) - mean(among.map(value))
      return difference / scaleOf(group.map(value), batch.map(value), spec)
    }
    case 'remax':
      return reward - row.baseline!
    case 'rloo':
      return unmixed ? 0 : reward - mean(others)
    case 'opo': {
      const length = (of: SlowRow) => of.mask.filter((bit) => bit === 1).length
      const tokens = sum(group.map(length))
      return unmixed || tokens === 0 ? 0 : reward - sum(group.map((of) => length(of) * of.reward!)) / tokens
    }
    case 'reinforce++-baseline': {
      // Every token of the batch with the difference of its completion from its group.
      const tokens = batch.flatMap((of) => {
        const rewards = batch.filter((other) => other.group === of.group).map((other) => other.reward!)
        const same = rewards.every((other) => other === of.reward)
        return of.mask.filter((bit) => bit === 1).map(() => (same ? 0 : of.reward! - mean(rewards)))
      })
      if (tokens.every((token) => token === tokens[0])) return 0
      return ((unmixed ? 0 : centred) - mean(tokens)) / (deviation(tokens, spec) + (spec.stdEpsilon ?? 1e-4))
    }
    case 'maxrl': {
      const average = mean(group.map((other) => other.reward!))
      return unmixed ? 0 : centred / (average + (spec.meanEpsilon ?? 1e-6))
    }
    default: {
      const rewards = (of: SlowRow[]) => of.map((other) => other.reward!)
      return unmixed ? 0 : centred / scaleOf(rewards(group), rewards(batch), spec)
    }
  }
}

/** The std + eps that a difference is divided by, or 1. */
function scaleOf(group: number[], batch: number[], spec: SlowSpec): number {
  const scale = spec.scaleRewards ?? 'none'
  if (scale === 'none') return 1
  return deviation(scale === 'group' ? group : batch, spec) + (spec.stdEpsilon ?? 1e-4)
}

function deviation(values: number[], spec: SlowSpec): number {
  const squares = sum(values.map((value) => (value - mean(values)) ** 2))
  return Math.sqrt(squares / (spec.std === 'population' ? values.length : values.length - 1))
}

function takesPart(row: SlowRow, spec: SlowSpec): boolean {
  if (row.reward === null || (spec.kind === 'remax' && row.baseline === null)) return false
  if (row.verdict === 'unparsed') return spec.unparsed !== 'mask'
  if (row.verdict === 'timed-out') return spec.timedOut === 'wrong'
  return true
}

function isRight(row: SlowRow): boolean {
  return row.verdict === null ? row.reward! > 0 : row.verdict === 'right'
}

/** -surrogate + beta KL - entropy bonus, of the tokens that the policy produced. */
function tokenLosses(row: SlowRow, stopped: number[], advantages: number[], spec: SlowSpec): number[] {
  const active = row.lp.map((_, t) => t).filter((t) => row.mask[t] === 1)
  const ratioOf = (lp: number[], t: number): number => {
    const sequenceRatio = Math.exp(mean(active.map((u) => lp[u]! - row.old[u]!)))
    return (spec.importanceSamplingLevel ?? 'token') === 'token'
      ? Math.exp(lp[t]! - row.old[t]!)
      : sequenceRatio
  }
  return active.map((t) => {
    const lp = row.lp[t]!
    const ratio =
      spec.importanceSamplingLevel === 'sequence-token'
        ? (ratioOf(stopped, t) * Math.exp(lp)) / Math.exp(stopped[t]!)
        : ratioOf(row.lp, t)
    const surrogate = surrogateOf(ratio, ratioOf(stopped, t), t)
    const kl = spec.klIn === 'reward' ? 0 : klOf(row.ref[t]! - lp, spec)
    return -surrogate + (spec.beta ?? 0) * kl - (spec.entropyCoefficient ?? 0) * row.entropy[t]!
  })

  function surrogateOf(ratio: number, constant: number, t: number): number {
    const advantage = advantages[t]!
    if (spec.importanceSamplingLevel === 'none') return advantage * row.lp[t]!
    const [low, high] = clipOf(spec)
    switch (spec.surrogate) {
      case 'cispo':
        return clamp(constant, 1 - low, 1 + high) * advantage * row.lp[t]!
      case 'topr':
        return (advantage > 0 ? 1 : Math.min(constant, 1)) * advantage * row.lp[t]!
      case 'sapo': {
        const tau = advantage > 0 ? spec.sapoTemperaturePos! : spec.sapoTemperatureNeg!
        return (4 / tau / (1 + Math.exp(-tau * (ratio - 1)))) * advantage
      }
      case 'gmpo': {
        const sign = Math.sign(advantage)
        const logRatios = active.map((u) => row.lp[u]! - row.old[u]!)
        const clipped = logRatios.map((x) => sign * Math.min(sign * x, sign * clamp(x, -low, high)))
        return advantage * Math.exp(mean(clipped))
      }
      default:
        return clippedSurrogate(ratio, advantage, spec)
    }
  }
}

/** epsilon and epsilonHigh, Infinity where there is none. */
function clipOf(spec: SlowSpec): [low: number, high: number] {
  const low = spec.epsilon === undefined ? 0.2 : spec.epsilon
  const high = spec.epsilonHigh === undefined ? low : spec.epsilonHigh
  return [low ?? Infinity, high ?? Infinity]
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high)
}

/** min(rho A, clip(rho, 1 - e, 1 + e) A), then the dual clip's floor for A < 0. */
function clippedSurrogate(ratio: number, advantage: number, spec: SlowSpec): number {
  const [low, high] = clipOf(spec)
  const clipped = clamp(ratio, 1 - low, 1 + high)
  const surrogate = Math.min(ratio * advantage, clipped * advantage)
  return spec.delta != null && advantage < 0 ? Math.max(surrogate, spec.delta * advantage) : surrogate
}

/** dL/dlp or dL/dentropy of every token by central differences of fourth order. `step`: the finer of the two tried. */
export function slowGradient(rows: SlowRow[], spec: SlowSpec, of: 'lp' | 'entropy', step = 1e-3): number[][] {
  const stopped: Stopped = new Map(rows.map((row) => [row, row.lp.slice()]))
  const advised = taughtRows(rows, spec)
  const lossOf = () => slowLoss(rows, spec, stopped, advised)
  return rows.map((row) =>
    row[of].map((_, t) => {
      const coarse = centralDifference(lossOf, row[of], t, 2 * step)
      const fine = centralDifference(lossOf, row[of], t, step)
      // Two steps agree unless a clip boundary lies between them; then the data is unfit to test a gradient with.
      if (Math.abs(coarse - fine) > 1e-8 * Math.max(1, Math.abs(fine))) {
        throw new Error(`a kink of the loss within reach of token ${t}: ${coarse} against ${fine}`)
      }
      return fine
    }),
  )
}

function centralDifference(lossOf: () => number, values: number[], t: number, step: number): number {
  const centre = values[t]!
  const at = (shift: number): number => {
    values[t] = centre + shift
    const loss = lossOf()
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
