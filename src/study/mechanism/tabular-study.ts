import { refuseUnknownKeys } from '../../options.ts'
import { oncePart, type PartRecord, readPart } from './part-record.ts'
import { runTabular, type TabularOutcome, type TabularStudy } from './tabular.ts'

/** [condition][method][seed]. */
export type TabularResult = TabularOutcome[][][]

export type TabularRecord = PartRecord<TabularStudy, TabularResult>

const PART = 'tabular'

export function readTabular(records: string, settings: TabularStudy): Promise<TabularRecord | undefined> {
  return readPart(records, PART, settings)
}

export function tabularStudy(records: string, settings: TabularStudy): Promise<TabularRecord> {
  const { conditions, methods, seeds, reference } = settings
  return oncePart(records, PART, settings, async () =>
    conditions.map(({ change, name }) => {
      refuseUnknownKeys(change, Object.keys(reference), `study, tabular, ${name}`)
      return methods.map((method) =>
        seeds.map((seed) => rounded(runTabular({ ...reference, ...change }, method, seed))),
      )
    }),
  )
}

/** Five digits are more than the seeds agree on. */
function rounded({ passAtK, trainAccuracy, entropy }: TabularOutcome): TabularOutcome {
  const short = (value: number) => Number(value.toPrecision(5))
  return {
    passAtK: Object.fromEntries(Object.entries(passAtK).map(([k, value]) => [k, short(value)])),
    trainAccuracy: short(trainAccuracy),
    entropy: short(entropy),
  }
}
