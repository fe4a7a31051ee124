import { readFile } from 'node:fs/promises'
import { CoppiceError, type ReportData, writeReport } from '../index.ts'
import { JSON_FLAG } from './flags.ts'
import { defineVerb } from './verb.ts'

export const reportVerb = defineVerb({
  command: 'report',
  describe: 'draw the report of an experiment again: HTML, SVG and PNG',
  flags: {
    in: { type: 'string', demandOption: true, describe: 'report.json of an experiment' },
    out: { type: 'string', demandOption: true, describe: 'folder for report.html and the charts' },
    font: {
      type: 'string',
      array: true,
      describe: 'font files for the PNG charts [default: those of the system]',
    },
    ...JSON_FLAG,
  },
  async run(args) {
    const text = await readFile(args.in, 'utf8')
    let data: ReportData
    try {
      data = JSON.parse(text)
    } catch (cause) {
      throw new CoppiceError('DATA_CORRUPT', 'not JSON', { where: args.in, cause })
    }
    const report = await writeReport(args.out, data, args.font === undefined ? {} : { fontFiles: args.font })
    for (const warning of report.warnings) console.error(warning)
    if (args.json) console.log(JSON.stringify(report))
    else console.log(report.files.join('\n'))
  },
})
