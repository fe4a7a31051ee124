import { setMaxListeners } from 'node:events'
import type { Judgement, Sample } from '../verdicts.ts'

export interface VerifyCallOptions {
  /** Ends the call with the signal's reason; samples under way are given up. */
  signal?: AbortSignal
  /** Called after every sample; `total`: the samples that have come so far. */
  onProgress?: (done: number, total: number) => void
}

/** What works on a call: takes its samples and puts their judgements until there are none left. */
export interface Lanes {
  readonly concurrency: number
  work(call: Verification): Promise<void>
  /** Throws what the call is to be rejected with, now that every sample is judged. */
  check(call: Verification): void
}

/**
 * One call of a verifier pool whose samples may come bit by bit, while others are still being sampled. Each is judged as soon as a
 * place of the pool is free; judgements keep the order in which the samples came.
 */
export class Verification {
  readonly #lanes: Lanes
  readonly #controller = new AbortController()
  readonly #sources: readonly AbortSignal[]
  readonly #onProgress: VerifyCallOptions['onProgress']
  readonly #samples: Sample[] = []
  readonly #judgements: Judgement[] = []
  readonly #ended: Promise<void>
  #end!: () => void
  #failure: { cause: unknown } | undefined
  #working = 0
  #taken = 0
  #judged = 0
  #complete = false
  /** The first sample's failure, if the verifier failed on any. */
  firstFailure: string | undefined

  /** For the pool. `sources`: signals that end the call. */
  constructor(lanes: Lanes, sources: readonly AbortSignal[], onProgress: VerifyCallOptions['onProgress']) {
    for (const source of sources) source.throwIfAborted()
    this.#lanes = lanes
    this.#sources = sources
    this.#onProgress = onProgress
    this.#ended = new Promise((resolve) => {
      this.#end = resolve
    })
    setMaxListeners(0, this.#controller.signal)
    for (const source of sources) source.addEventListener('abort', this.#forward, { once: true })
  }

  /** Samples behind those that came before. Throws what the call has failed with. */
  add(samples: readonly Sample[]): void {
    if (this.#failure !== undefined) throw this.#failure.cause
    // Not as arguments of one push: some hundred thousand of them are more than the stack holds.
    for (const sample of samples) this.#samples.push(sample)
    while (
      this.#working < this.#lanes.concurrency &&
      this.#taken < this.#samples.length &&
      !this.signal.aborted
    )
      void this.#work()
  }

  /**
   * One judgement a sample in the order in which the samples came; no more of them come. Rejects with a signal's reason, with
   * INVALID_ARGUMENT when the verifier has worked on no sample so far, and with DISPOSED where the pool was disposed.
   */
  async finish(): Promise<Judgement[]> {
    this.#complete = true
    if (this.#working === 0) this.#end()
    await this.#ended
    if (this.#failure !== undefined) throw this.#failure.cause
    this.#lanes.check(this)
    this.close()
    return this.#judgements
  }

  /** Gives up what is not judged yet; harmless after `finish`. */
  close(): void {
    for (const source of this.#sources) source.removeEventListener('abort', this.#forward)
    this.#controller.abort()
  }

  // What the pool works with.

  /** Aborted when nobody waits for judgements any more, with what the call has failed with as its reason. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The next sample that nobody works on, and its place. */
  take(): { index: number; sample: Sample } | undefined {
    if (this.#taken === this.#samples.length || this.signal.aborted) return undefined
    const index = this.#taken++
    return { index, sample: this.#samples[index]! }
  }

  put(index: number, judgement: Judgement): void {
    this.#judgements[index] = judgement
    this.#onProgress?.(++this.#judged, this.#samples.length)
  }

  async #work(): Promise<void> {
    this.#working++
    try {
      await this.#lanes.work(this)
    } catch (cause) {
      this.#fail(cause)
    } finally {
      if (--this.#working === 0 && this.#complete) this.#end()
    }
  }

  readonly #forward = (event: Event) => this.#fail((event.target as AbortSignal).reason)

  #fail(cause: unknown): void {
    this.#failure ??= { cause }
    this.#controller.abort(cause)
    this.close()
    this.#end()
  }
}
