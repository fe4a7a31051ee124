import type { TokenWeights } from '../objectives/token-weights.ts'
import { perToken } from '../policy/native-rows.ts'
import { hasColumn, textColumn } from '../rollouts.ts'
import type { Tokenizer } from '../tokenizer.ts'
import type { Alternative, ExplainedRow, ExplainedToken } from './explanation.ts'
import type { Distributions, ShownTokens } from './shown-tokens.ts'
import type { TokenGradients } from './token-gradients.ts'

/** What the loss makes of the whole optimiser batch. */
export interface WholeBatch {
  rowAdvantages: Float64Array
  /** Of the rows kept; null where no token takes part. */
  step: { weights: TokenWeights<Float32Array>; gradients: TokenGradients } | null
}

export interface ExplainedParts {
  shown: ShownTokens
  /** Alternatives of a token. */
  top: number
  before: Distributions & { ids: Int32Array }
  /** Null where no step was made. */
  after: Distributions | null
  whole: WholeBatch
  tokenizer: Tokenizer | undefined
  /** In place of the column's. */
  temperature: number | undefined
}

/** Everything known of the shown rows, put together token by token. */
export function explainedRows(parts: ExplainedParts): ExplainedRow[] {
  const { shown, whole } = parts
  const { columns, batch } = shown
  const prompts = hasColumn(batch, 'prompt') ? textColumn(batch, 'prompt') : undefined
  const { offsets } = columns.completionTokens
  return shown.rows.map((row, i) => {
    const kept = whole.step?.weights.rows.indexOf(row) ?? -1
    const facts: RowFacts = {
      first: offsets[i]! - offsets[0]!,
      keptFirst: kept === -1 ? null : whole.step!.weights.offsets[kept]!,
      temperature: parts.temperature ?? columns.temperature[i]!,
    }
    const places = Array.from(
      { length: shown.offsets[i + 1]! - shown.offsets[i]! },
      (_, t) => shown.offsets[i]! + t,
    )
    return {
      row,
      groupId: columns.groupIds[i]!,
      sampleIndex: columns.sampleIndex[i]!,
      reward: columns.rewards![i]!,
      verdict: columns.verdicts?.[i] ?? null,
      finishReason: columns.finishReasons[i]!,
      temperature: facts.temperature,
      prompt: prompts?.[i] ?? null,
      kept: kept !== -1,
      advantage: kept === -1 ? null : whole.rowAdvantages[row]!,
      completionLength: offsets[i + 1]! - offsets[i]!,
      tokens: places.map((place) => explainedToken(parts, facts, place)),
    }
  })
}

interface RowFacts {
  /** The row's first token among those of the shown rows. */
  first: number
  /** Among those of the rows kept; null where it is not. */
  keptFirst: number | null
  temperature: number
}

/** `place`: index among the shown tokens. */
function explainedToken(parts: ExplainedParts, facts: RowFacts, place: number): ExplainedToken {
  const { shown, before, after, whole, top } = parts
  const token = shown.places[place]!
  const position = token - facts.first
  const id = perToken(shown.columns.completionTokens, 'completion_tokens')[token]!
  const recordedLogprob = perToken(shown.columns.logprobs, 'logprobs')[token]!
  const [logprob, entropy] = [before.logprobs[place]!, before.entropies[place]!]
  const { norm, gradients, at } = gradientsAt(whole, facts, position)
  const weight = gradients?.weights[at] ?? 0
  const entropyWeight = gradients?.entropyWeights[at] ?? 0
  const descent = (of: number, sampled: boolean) =>
    logitDescent({ logprob: of, sampled, weight, entropyWeight, entropy, temperature: facts.temperature })
  const alternatives = Array.from({ length: top }, (_, k): Alternative => {
    const other = before.ids[place * top + k]!
    const otherLogprob = before.alternatives[place * top + k]!
    return {
      id: other,
      text: textOf(parts.tokenizer, other),
      sampled: other === id,
      logprob: otherLogprob,
      logprobAfter: after?.alternatives[place * top + k] ?? null,
      logitDescent: descent(otherLogprob, other === id),
    }
  })
  return {
    ...{ position, id, text: textOf(parts.tokenizer, id), active: norm !== 0 },
    ...{ logprob, recordedLogprob, entropy, norm, weight, entropyWeight },
    ratio: gradients?.ratios[at] ?? Math.exp(logprob - recordedLogprob),
    clipped: gradients?.clipped[at] ?? null,
    logitDescent: descent(logprob, true),
    logprobAfter: after?.logprobs[place] ?? null,
    entropyAfter: after?.entropies[place] ?? null,
    alternatives,
  }
}

function gradientsAt({ step }: WholeBatch, { keptFirst }: RowFacts, position: number) {
  if (step === null || keptFirst === null) return { norm: 0, gradients: null, at: 0 }
  const at = keptFirst + position
  return { norm: step.weights.norm[at]!, gradients: step.gradients, at }
}

/**
 * -dL/dz of a logit z, as the head has it (native/ops/ops.h, head_backward):
 * (weight ([sampled] - p) - entropyWeight p (log p + entropy)) / temperature.
 */
function logitDescent(of: {
  logprob: number
  sampled: boolean
  weight: number
  entropyWeight: number
  entropy: number
  temperature: number
}): number {
  const p = Math.exp(of.logprob)
  const byWeight = of.weight * ((of.sampled ? 1 : 0) - p)
  // p log p vanishes with p.
  const byEntropy = p === 0 ? 0 : of.entropyWeight * p * (of.logprob + of.entropy)
  return (byWeight - byEntropy) / of.temperature
}

/** A token as text; as the vocabulary spells it where it is special or no text of its own. */
function textOf(tokenizer: Tokenizer | undefined, id: number): string | null {
  if (tokenizer === undefined || !tokenizer.hasToken(id)) return null
  const text = tokenizer.decode([id])
  return tokenizer.isSpecial(id) || text === '' || text.includes('\ufffd')
    ? tokenizer.decodeTokens([id])[0]!
    : text
}
