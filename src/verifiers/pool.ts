import { setMaxListeners } from 'node:events'
import { CoppiceError } from '../errors.ts'
import type { Judgement, Sample } from '../verdicts.ts'
import type { JudgementCache } from './judgement-cache.ts'
import { abstention, type SampleRunner } from './outcome.ts'
import { Verification, type VerifyCallOptions } from './verification.ts'

/** A verifier that never worked on so many samples is broken, whatever the samples. */
const FAILURES_BEFORE_GIVING_UP = 32
/** How long samples are judged in one go before other work of this process gets its turn. */
const TURN_MS = 8

/**
 * Judges samples again and again with one verifier; the trainer keeps one for a whole run. Calls may overlap: together
 * they never run more samples at once than the pool's concurrency.
 */
export class VerifierPool {
  /**
   * Names of the verifiers whose weighted rewards make one, in the order of `Judgement.partRewards`; empty where the pool
   * has a single verifier without a weight.
   */
  readonly parts: readonly string[]
  readonly #cache: JudgementCache | undefined
  readonly #runner: SampleRunner
  readonly #where: string
  readonly #disposal = new AbortController()
  readonly #waiting: (() => void)[] = []
  #free: number
  #turnEnds: number | undefined
  #failures = 0
  #clockVerdicts = 0
  #judged = 0

  constructor(runner: SampleRunner, where: string, parts: readonly string[] = [], cache?: JudgementCache) {
    setMaxListeners(0, this.#disposal.signal)
    this.parts = parts
    this.#cache = cache
    this.#runner = runner
    this.#where = where
    this.#free = runner.concurrency
  }

  /** Samples on which the verifier threw, ended its process or returned nonsense; they abstain. */
  get failures(): number {
    return this.#failures
  }

  /** Judgements that were given again, since a verifier had judged the same content before. */
  get cached(): number {
    return this.#cache?.hits ?? 0
  }

  /**
   * Samples that the deadline or the memory cap ended. What they would have been is unknown and may be another verdict on
   * another machine: with any of them a run cannot be regenerated. A `timed-out` of the verifier's own is not counted.
   */
  get clockVerdicts(): number {
    return this.#clockVerdicts
  }

  /**
   * One judgement a sample, in the samples' order. A sample that takes too long is `timed-out`; one on which the
   * verifier fails is `unparsed` with reward null and the failure as reason. Rejects with INVALID_ARGUMENT when the
   * verifier has failed on every sample so far, and with DISPOSED after `dispose`.
   */
  async verify(samples: readonly Sample[], options: VerifyCallOptions = {}): Promise<Judgement[]> {
    const call = this.open(options)
    try {
      call.add(samples)
      return await call.finish()
    } finally {
      call.close()
    }
  }

  /**
   * A call whose samples come bit by bit: each is judged while others are still to come. What `verify` says of errors holds;
   * close it in any case.
   */
  open({ signal, onProgress }: VerifyCallOptions = {}): Verification {
    const sources = [this.#disposal.signal, ...(signal === undefined ? [] : [signal])]
    const lanes = {
      concurrency: this.#runner.concurrency,
      work: (call: Verification) => this.#inTurn(call),
      check: ({ firstFailure }: Verification) => {
        if (firstFailure !== undefined && this.#judged === 0) throw this.#uselessVerifier(firstFailure)
      },
    }
    return new Verification(lanes, sources, onProgress)
  }

  /** Ends the verifier's processes. Calls under way reject with DISPOSED. Disposing twice is harmless. */
  async dispose(): Promise<void> {
    this.#disposal.abort(
      new CoppiceError('DISPOSED', 'the verifier pool is disposed', { where: this.#where }),
    )
    await this.#runner.dispose()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }

  /** Works on the call as soon as one of the pool's places is free. */
  async #inTurn(call: Verification): Promise<void> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#free--
    try {
      await this.#work(call)
    } finally {
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#free++
      else waiting()
    }
  }

  /** Takes the call's samples one after the other, as long as there are any. */
  async #work(call: Verification): Promise<void> {
    for (let taken = call.take(); taken !== undefined; taken = call.take()) {
      const { index, sample } = taken
      while (this.#isTurnOver()) await new Promise(setImmediate)
      if (call.signal.aborted) return
      const run = this.#runner.run(sample, call.signal)
      const outcome = run instanceof Promise ? await run : run
      if (call.signal.aborted) return
      if ('failure' in outcome) {
        this.#failures++
        call.firstFailure ??= `${outcome.failure} (prompt ${sample.promptId})`
        call.put(index, abstention(outcome.failure))
        if (this.#judged === 0 && this.#failures >= FAILURES_BEFORE_GIVING_UP) {
          throw this.#uselessVerifier(call.firstFailure)
        }
      } else {
        this.#judged++
        if (outcome.byClock) this.#clockVerdicts++
        call.put(index, outcome.judgement)
      }
    }
  }

  /** Whether samples have been judged for so long that other work of this process should come first. */
  #isTurnOver(): boolean {
    const now = performance.now()
    if (this.#turnEnds === undefined) {
      this.#turnEnds = now + TURN_MS
      setImmediate(() => {
        this.#turnEnds = undefined
      })
    }
    return now > this.#turnEnds
  }

  #uselessVerifier(firstFailure: string): CoppiceError {
    return new CoppiceError('INVALID_ARGUMENT', `the verifier works on no sample: ${firstFailure}`, {
      where: this.#where,
    })
  }
}
