import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createVerifierPool } from '../../index.ts'
import type { BenchCase, BenchKind, BenchSetup } from './bench-case.ts'
import { type BenchRow, benchRow } from './bench-row.ts'
import { ANSWERS, answersFor, OWN_VERIFIER } from './graded-answers.ts'
import { peakRssMib } from './peak-rss.ts'
import { timePrepared } from './time-runs.ts'

const COUNT = 2000
/** Rollouts of a group that say the same, where judgements are kept. */
const REPEATED = 8
const NO_FLOOR = 'JavaScript at work: there is no peak to hold it against'

/** Those that run in processes of their own, where more of them help. */
const APART = ['regex', 'json-schema', 'file.mjs', 'format:pattern=^\\w[^<]*$']

interface Asked {
  verifier: string
  workers: number
  /** With judgements that are kept, and groups of equal answers. */
  isRepeated: boolean
}

function gradeCase(verifier: string): BenchCase {
  const name = `grade/${verifier}`
  return {
    name,
    async *run(setup) {
      const cores = availableParallelism()
      const widths = APART.includes(verifier) && cores > 1 ? [1, cores] : [1]
      for (const workers of widths) yield grade(setup, name, { verifier, workers, isRepeated: false })
      yield grade(setup, name, { verifier, workers: 1, isRepeated: true })
    },
  }
}

/** Through the pool that training uses. */
async function grade(setup: BenchSetup, name: string, asked: Asked): Promise<BenchRow> {
  const { timing, isQuick } = setup
  const { verifier, workers, isRepeated } = asked
  const count = isQuick ? 64 : COUNT
  const folder = await mkdtemp(join(tmpdir(), 'coppice-bench-grade-'))
  try {
    const file = join(folder, verifier)
    if (verifier === 'file.mjs') await writeFile(file, OWN_VERIFIER)
    await using pool = await createVerifierPool(verifier === 'file.mjs' ? file : verifier, {
      concurrency: workers,
      ...(isRepeated ? { cacheable: true } : { cacheMb: 0 }),
    })
    // Other questions in every round: only what repeats within a round is known.
    let round = 0
    const samples = () => answersFor(verifier, count, isRepeated ? REPEATED : 1, isRepeated ? round++ : 0)
    let given = samples()
    const prepare = () => {
      if (isRepeated) given = samples()
    }
    const seconds = await timePrepared(timing, prepare, () => pool.verify(given))
    const place = APART.includes(verifier)
      ? `${workers} ${workers === 1 ? 'process' : 'processes'}`
      : 'in process'
    const measured = {
      op: 'verify',
      shape: `${verifier}, ${count} answers, ${place}${isRepeated ? `, groups of ${REPEATED} equal ones` : ''}`,
      ...{ seconds, answers: count, peakRssMib: peakRssMib() },
    }
    const context = { case: name, device: 'cpu', dtype: 'text', isa: 'JavaScript', threads: workers }
    return benchRow(context, measured, NO_FLOOR)
  } finally {
    await rm(folder, { recursive: true })
  }
}

export const GRADE_KIND: BenchKind = {
  describe: 'answers a second of every built-in verifier and of a file, alone and with a process a core',
  cases: () => Object.keys(ANSWERS).map(gradeCase),
}
