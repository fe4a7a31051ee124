import type { Alternative, ExplainedRow, ExplainedToken, Explanation } from './explanation.ts'

/** An explanation as it is written: keys in snake case, changes beside what they are differences of. */
export function explanationRecord(explanation: Explanation): Record<string, unknown> {
  const { objective, optimizer, momentSteps, batchRows, skipped, metrics, maxRecordedGap, rows } = explanation
  return {
    objective,
    optimizer,
    moment_steps: momentSteps,
    batch_rows: batchRows,
    skipped: skipped ?? null,
    metrics,
    max_recorded_gap: maxRecordedGap,
    rows: rows.map(rowRecord),
  }
}

function rowRecord(row: ExplainedRow): Record<string, unknown> {
  return {
    row: row.row,
    group_id: row.groupId,
    sample_index: row.sampleIndex,
    reward: row.reward,
    verdict: row.verdict,
    finish_reason: row.finishReason,
    temperature: row.temperature,
    prompt: row.prompt,
    kept: row.kept,
    advantage: row.advantage,
    completion_length: row.completionLength,
    tokens: row.tokens.map(tokenRecord),
  }
}

function tokenRecord(token: ExplainedToken): Record<string, unknown> {
  const { position, id, text, active, logprob, entropy, norm, weight, ratio, clipped } = token
  return {
    ...{ position, id, text, active, logprob },
    recorded_logprob: token.recordedLogprob,
    ...{ entropy, norm, weight },
    entropy_weight: token.entropyWeight,
    ...{ ratio, clipped },
    logit_descent: token.logitDescent,
    logprob_after: token.logprobAfter,
    logprob_change: change(logprob, token.logprobAfter),
    entropy_after: token.entropyAfter,
    entropy_change: change(entropy, token.entropyAfter),
    alternatives: token.alternatives.map(alternativeRecord),
  }
}

function alternativeRecord(alternative: Alternative): Record<string, unknown> {
  const { id, text, sampled, logprob } = alternative
  return {
    ...{ id, text, sampled, logprob },
    logit_descent: alternative.logitDescent,
    logprob_after: alternative.logprobAfter,
    logprob_change: change(logprob, alternative.logprobAfter),
  }
}

function change(before: number, after: number | null): number | null {
  return after === null ? null : after - before
}
