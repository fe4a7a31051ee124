import { join } from 'node:path'
import { compareIds, compareTemplates } from './template-comparison.ts'

// node --import tsx templates_live.ts FOLDER: compares with what templates_live.py wrote there.

const folder = process.argv[2]!
const comparisons = [
  ['conversations', await compareTemplates(folder)],
  ['qwen2 strings', await compareIds(join(folder, 'qwen2'))],
  ['llama3 strings', await compareIds(join(folder, 'llama3'))],
] as const
for (const [name, { compared, refused, younger, differences }] of comparisons) {
  const notes = [
    refused > 0 ? `${refused} refused by both` : '',
    younger > 0
      ? `${younger} differ in characters that not every Unicode version knows (Node's is ${process.versions.unicode})`
      : '',
  ].filter((note) => note !== '')
  console.log(
    `${name}: ${compared} compared, ${differences.length} differ${notes.length > 0 ? `; ${notes.join('; ')}` : ''}`,
  )
  for (const difference of differences.slice(0, 5)) console.log(`  ${difference.slice(0, 2000)}`)
  if (differences.length > 0) process.exitCode = 1
}
