import assert from 'node:assert/strict'
import type { Sample, Verdict } from '../../src/verdicts.ts'
import { builtinVerifier } from '../../src/verifiers/builtin.ts'
import { requireJudgement } from '../../src/verifiers/judgement.ts'

export function sampleOf(reference: string, completion: string): Sample {
  const none = new Int32Array(0)
  return {
    promptId: 'p',
    prompt: '',
    reference,
    completion,
    promptTokens: none,
    completionTokens: none,
    finishReason: 'stop',
  }
}

export function verdictOf(verifier: string, reference: string, completion: string) {
  const context = { signal: new AbortController().signal }
  return requireJudgement(builtinVerifier(verifier).verify(sampleOf(reference, completion), context))
}

/** Checks rows of completion, verdict and, where it matters, a word of the reason. */
export function checkTable(verifier: string, reference: string, rows: [string, Verdict, RegExp?][]): void {
  for (const [completion, verdict, reason] of rows) {
    const judgement = verdictOf(verifier, reference, completion)
    assert.equal(judgement.verdict, verdict, `${verifier}: ${completion.slice(0, 60)}: ${judgement.reason}`)
    assert.equal(judgement.reward, verdict === 'right' ? 1 : 0)
    if (reason !== undefined) assert.match(judgement.reason ?? '', reason)
  }
}
