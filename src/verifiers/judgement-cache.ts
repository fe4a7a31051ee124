import { createHash } from 'node:crypto'
import type { Judgement, Sample } from '../verdicts.ts'
import type { Outcome, SampleRunner } from './outcome.ts'

/** Bytes of an entry beside its reason: key, judgement and a place in the map, rounded up. */
const ENTRY_BYTES = 400

/** Judgements by the content that they were made of, the least recently used leaving first when there are too many. */
export class JudgementCache {
  readonly #entries = new Map<string, Judgement>()
  readonly #maxBytes: number
  #bytes = 0
  #hits = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Judgements that were given again instead of made. */
  get hits(): number {
    return this.#hits
  }

  /** About how many bytes the entries hold. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: string): Judgement | undefined {
    const judgement = this.#entries.get(key)
    if (judgement === undefined) return undefined
    this.#hits++
    this.#entries.delete(key)
    this.#entries.set(key, judgement)
    return { ...judgement }
  }

  set(key: string, judgement: Judgement): void {
    this.#drop(key)
    if (bytesOf(judgement) > this.#maxBytes) return
    this.#entries.set(key, { ...judgement })
    this.#bytes += bytesOf(judgement)
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    const judgement = this.#entries.get(key)
    if (judgement === undefined) return
    this.#entries.delete(key)
    this.#bytes -= bytesOf(judgement)
  }
}

function bytesOf({ reason = '' }: Judgement): number {
  return ENTRY_BYTES + 2 * reason.length
}

/**
 * Runs a verifier once for samples of the same content, also for those that come while the first is under way. Only
 * judgements are kept: a delay or a failure may be the machine's and not the sample's. `name` tells apart verifiers
 * that share a cache.
 */
export function cachedRunner(runner: SampleRunner, cache: JudgementCache, name: string): SampleRunner {
  const underWay = new Map<string, Promise<Outcome>>()

  function keep(key: string, outcome: Outcome): void {
    if ('judgement' in outcome && outcome.judgement.verdict !== 'timed-out') cache.set(key, outcome.judgement)
  }

  async function runFirst(key: string, run: Promise<Outcome>): Promise<Outcome> {
    underWay.set(key, run)
    try {
      const outcome = await run
      keep(key, outcome)
      return outcome
    } finally {
      underWay.delete(key)
    }
  }

  /** Waits for the same content once: were it to wait again, samples that hang would queue up one behind the other. */
  async function runSecond(
    key: string,
    first: Promise<Outcome>,
    sample: Sample,
    signal: AbortSignal,
  ): Promise<Outcome> {
    // What became of the first is its own caller's business; the cache tells whether it was of use.
    await first.catch(() => {})
    const known = cache.get(key)
    if (known !== undefined) return { judgement: known }
    if (signal.aborted) return { failure: 'given up' }
    const outcome = await runner.run(sample, signal)
    keep(key, outcome)
    return outcome
  }

  return {
    concurrency: runner.concurrency,
    run(sample, signal) {
      const key = contentKey(name, sample)
      const known = cache.get(key)
      if (known !== undefined) return { judgement: known }
      const first = underWay.get(key)
      if (first !== undefined) return runSecond(key, first, sample, signal)
      const run = runner.run(sample, signal)
      if (run instanceof Promise) return runFirst(key, run)
      keep(key, run)
      return run
    },
    dispose: () => runner.dispose(),
  }
}

/** A digest of all that a verifier may go by: a text would be as long as what it stands for. */
function contentKey(name: string, { prompt, reference, completion, finishReason }: Sample): string {
  const parts = [name, finishReason, prompt, reference, completion]
  const text = `${parts.map((part) => part.length).join()};${parts.join('')}`
  // Two bytes a unit: as UTF-8 all lone surrogates would be one.
  return createHash('sha256').update(text, 'utf16le').digest('base64')
}
