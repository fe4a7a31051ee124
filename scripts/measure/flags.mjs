import { parseArgs } from 'node:util'
import { giveUp } from '../console.mjs'

/**
 * A script's flags; everything it does not know is refused with its usage and exit code 2. `flags`: name -> 'boolean',
 * 'string' or 'number' (greater than 0).
 */
export function readFlags(usage, flags, args = process.argv.slice(2)) {
  const refuse = (why) => giveUp(`${why}\nusage: ${usage}`, 2)
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, kind]) => [name, { type: kind === 'boolean' ? 'boolean' : 'string' }]),
  )
  let values
  try {
    values = { ...parseArgs({ args, options, strict: true, allowPositionals: false }).values }
  } catch (error) {
    refuse(error.message)
  }
  for (const [name, kind] of Object.entries(flags)) {
    if (kind !== 'number' || values[name] === undefined) continue
    const number = Number(values[name])
    if (!(number > 0 && Number.isFinite(number)))
      refuse(`--${name}: expected a number above 0, received ${values[name]}`)
    values[name] = number
  }
  return values
}
