import {
  createProgressWriter,
  createVerifierPool,
  judge,
  partRewardMeans,
  readDataTable,
  textColumn,
  writeTable,
} from '../index.ts'
import { clockNote } from './clock-note.ts'
import { COLUMN_FLAGS, DATA_FORMATS, dataOptions, ROW_FLAGS } from './data-flags.ts'
import { JSON_FLAG, VERIFIER_FLAGS, verifierOf, verifyOptions } from './flags.ts'
import { fetchData, HUB_DATA_FLAGS } from './hub-files.ts'
import { interruptible } from './interrupt.ts'
import { requireTablePath } from './table-path.ts'
import { defineVerb } from './verb.ts'

export const verifyVerb = defineVerb({
  command: 'verify',
  describe: 'rollouts -> rollouts with verdict and reward',
  flags: {
    ...VERIFIER_FLAGS,
    in: {
      type: 'string',
      demandOption: true,
      describe: `${DATA_FORMATS} file with reference (or gold) and completion (or prediction)`,
    },
    ...COLUMN_FLAGS,
    'completion-column': { type: 'string', describe: 'column with the completion' },
    ...ROW_FLAGS,
    ...HUB_DATA_FLAGS,
    out: { type: 'string', demandOption: true, describe: 'the same rows with verdict and reward' },
    ...JSON_FLAG,
  },
  async run(args) {
    requireTablePath(args.out)
    const rollouts = await readDataTable(await fetchData(args.in, args), {
      ...dataOptions(args),
      ...(args.completionColumn !== undefined && { completionColumn: args.completionColumn }),
    })
    await using pool = await createVerifierPool(verifierOf(args), verifyOptions(args))
    const progress = createProgressWriter()
    return await interruptible(async (signal) => {
      const judged = await judge(rollouts, pool, {
        signal,
        onProgress: (done, total) => progress.update({ label: 'verify', done, total }),
      })
      progress.end()
      await writeTable(args.out, [judged])
      const counts = { right: 0, wrong: 0, unparsed: 0, 'timed-out': 0 }
      for (const verdict of textColumn(judged, 'verdict')) counts[verdict as keyof typeof counts]++
      const { 'timed-out': timed_out, ...others } = counts
      const { failures, cached, clockVerdicts: clock_verdicts } = pool
      const counted = { ...others, timed_out, failures, cached, clock_verdicts }
      const summary = { out: args.out, rows: judged.numRows, ...counted }
      const rewards = partRewardMeans(judged, pool)
      const all = { ...summary, regenerable: clock_verdicts === 0, ...(pool.parts.length > 0 && { rewards }) }
      if (args.json) console.log(JSON.stringify(all))
      else console.log([summaryText(summary), ...rewardTexts(rewards)].join('\n'))
      if (clock_verdicts > 0) console.error(clockNote(clock_verdicts))
      if (pool.failures > 0) console.error(`the verifier failed on ${pool.failures} rows; they abstain`)
    })
  },
})

function summaryText({
  out,
  rows,
  ...counts
}: { out: string; rows: number } & Record<string, string | number>): string {
  const parts = Object.entries(counts).map(([name, count]) => `${count} ${name.replace('_', ' ')}`)
  return `${out}: ${rows} rows: ${parts.join(', ')}`
}

function rewardTexts(rewards: Readonly<Record<string, number>>): string[] {
  const parts = Object.entries(rewards).map(([name, mean]) => `${name} ${mean.toFixed(3)}`)
  return parts.length === 0 ? [] : [`mean rewards: ${parts.join(', ')}`]
}
