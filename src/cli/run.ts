import yargs from 'yargs'
import { CoppiceError, version } from '../index.ts'
import { EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED } from './exit-codes.ts'
import { flagsOf, unknownFlagMessage, type Verb } from './verb.ts'

/** Runs a command line against the verbs. Resolves to the exit code; errors are told on stderr. */
export async function runCommandLine(argv: readonly string[], verbs: readonly Verb[]): Promise<number> {
  let code = EXIT_DONE
  const debug = argv.includes('--debug')
  const verb = verbs.find(({ name }) => name === argv.find((word) => !word.startsWith('-')))
  let parser = yargs([...argv])
    .scriptName('coppice')
    .usage('$0 <verb> [flags]\n\nReinforcement learning with verifiable rewards, inside Node.js.')
    .parserConfiguration({ 'parse-positional-numbers': false })
    .version(version)
    .help()
    .alias('h', 'help')
    .strict()
    .recommendCommands()
    .demandCommand(1, 'name a verb; --help lists them')
    .wrap(Math.min(110, process.stdout.columns ?? 100))
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message, error) => {
      throw isFromYargs(error) ? new UsageError(explain(message, verb, argv)) : error
    })
  for (const each of verbs) parser = each.install(parser, argv, (result) => (code = result))
  try {
    await parser.parseAsync()
    return code
  } catch (error) {
    console.error(errorText(error, verb, debug))
    return exitCodeOf(error)
  }
}

class UsageError extends Error {}

/** What a verb throws comes through the same door as what yargs refuses. */
function isFromYargs(error: Error | undefined): boolean {
  return error === undefined || error === null || error.name === 'YError'
}

/** yargs names what is missing before what is unknown; a misspelt flag is both, and should be named as such. */
function explain(message: string, verb: Verb | undefined, argv: readonly string[]): string {
  if (verb === undefined) return message
  const known = [...Object.keys(verb.flags), 'help', 'version']
  const unknown = flagsOf(argv).filter(
    (flag) => !known.includes(flag) && !known.includes(flag.replace(/^no-/, '')),
  )
  return unknown.length > 0 ? unknownFlagMessage(unknown, known) : message
}

const BAD_INPUT_CODES: ReadonlySet<string> = new Set([
  'INVALID_ARGUMENT',
  'SHAPE_MISMATCH',
  'CHECKPOINT_CORRUPT',
  'DATA_CORRUPT',
  'NOT_FOUND',
  'ACCESS_DENIED',
])

/** 2 where the input or the usage is at fault, 1 for all other failures. */
function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT_BAD_INPUT
  if (error instanceof CoppiceError) return BAD_INPUT_CODES.has(error.code) ? EXIT_BAD_INPUT : EXIT_FAILED
  return isMissingFile(error) ? EXIT_BAD_INPUT : EXIT_FAILED
}

function isMissingFile(error: unknown): error is NodeJS.ErrnoException {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return error instanceof Error && ['ENOENT', 'ENOTDIR', 'EISDIR', 'EACCES'].includes(code ?? '')
}

function errorText(error: unknown, verb: Verb | undefined, debug: boolean): string {
  const name = verb === undefined ? 'coppice' : `coppice ${verb.name}`
  if (!(error instanceof Error)) return `${name}: ${String(error)}`
  if (debug) return `${name}: ${error.stack ?? error.message}${causeText(error)}`
  if (error instanceof UsageError) return `${name}: ${error.message}\n${name} --help tells more`
  if (error instanceof CoppiceError || isMissingFile(error)) return `${name}: ${error.message}`
  return `${name}: ${error.message || error.name} (--debug prints the stack)`
}

function causeText(error: Error): string {
  return error.cause instanceof Error ? `\ncaused by ${error.cause.stack ?? error.cause.message}` : ''
}
