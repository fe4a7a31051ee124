import type { Argv, InferredOptionTypes, Options, PositionalOptions } from 'yargs'
import { CoppiceError, nearest } from '../index.ts'

type Flags = { [flag: string]: Options }
type CamelCase<S extends string> = S extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S

/** A verb's parsed flags under camel-case names. */
export type VerbArguments<F extends Flags> = {
  [K in keyof F as CamelCase<K & string>]: InferredOptionTypes<F>[K]
}

/** One verb of the command line: what yargs needs to know of it, and what it does. Resolves to an exit code; none is 0. */
export interface Verb {
  name: string
  describe: string
  flags: Flags
  positional: { [name: string]: PositionalOptions }
  /** `argv` is the whole command line. */
  install(parser: Argv, argv: readonly string[], onResult: (code: number) => void): Argv
}

export interface VerbDefinition<F extends Flags> {
  /** yargs' command string: the verb and its positional arguments. */
  command: string
  describe: string
  flags: F
  /** Positional arguments are given to `run` as well; the command string says which are required. */
  positional?: { [name: string]: PositionalOptions }
  /** Flags that stand for those that are not given, by kebab-case name; `given` reads a flag of the command line. */
  defaults?(given: (flag: string) => string | undefined): Readonly<Record<string, unknown>>
  examples?: readonly (readonly [command: string, what: string])[]
  // biome-ignore lint/suspicious/noConfusingVoidType: a verb that returns nothing has done its work
  run(args: VerbArguments<F> & Record<string, unknown>): Promise<number | void>
}

/** Flags that every verb has. */
const EVERYWHERE = {
  debug: { type: 'boolean', default: false, describe: 'print the stack of an error' },
} as const satisfies Flags

/** Makes a verb: strict about unknown flags (naming the nearest), repeated flags and numbers that are none. */
export function defineVerb<const F extends Flags>(definition: VerbDefinition<F>): Verb {
  const { command, describe, positional = {}, examples = [] } = definition
  const flags: Flags = { ...definition.flags, ...EVERYWHERE }
  const name = command.split(' ')[0]!
  return {
    name,
    describe,
    flags,
    positional,
    install: (parser, argv, onResult) =>
      parser.command(
        command,
        describe,
        (verb) => {
          for (const [key, options] of Object.entries(positional)) verb.positional(key, options)
          for (const [flag, options] of Object.entries(flags)) verb.option(flag, withArgument(options))
          for (const [line, what] of examples) verb.example(line, what)
          const defaults = definition.defaults?.((flag) => flagValue(argv, flag))
          // What yargs calls a config: stronger than a flag's default, weaker than the flag itself.
          if (defaults !== undefined) verb.config(defaults)
          return verb
        },
        async (parsed) => {
          const args = parsed as unknown as Record<string, unknown>
          checkFlags(flags, args)
          const code = await definition.run(args as never)
          onResult(typeof code === 'number' ? code : 0)
        },
      ),
  }
}

/** The message for unknown flags: what was meant, as far as one can tell. */
export function unknownFlagMessage(unknown: readonly string[], known: readonly string[]): string {
  return unknown
    .map((flag) => {
      const near = nearest(flag, known)
      return `unknown flag --${flag}${near === undefined ? '' : ` (did you mean --${near}?)`}`
    })
    .join('; ')
}

/** yargs reads `--steps` without a value as true or 0; a flag that needs a value is to have one. */
function withArgument(options: Options): Options {
  const needsValue = options.type === 'string' || options.type === 'number'
  return needsValue && options.array !== true ? { ...options, requiresArg: true } : options
}

function checkFlags(flags: Flags, args: Record<string, unknown>): void {
  for (const [flag, options] of Object.entries(flags)) {
    const value = args[flag]
    if (Array.isArray(value) && options.array !== true) {
      throw new CoppiceError('INVALID_ARGUMENT', 'given more than once', { where: `--${flag}` })
    }
    const numbers = options.type === 'number' ? (Array.isArray(value) ? value : [value]) : []
    if (numbers.some((number) => Number.isNaN(number))) {
      throw new CoppiceError('INVALID_ARGUMENT', 'not a number', { where: `--${flag}`, expected: 'a number' })
    }
  }
}

/** The value of a flag as it stands on a command line. */
function flagValue(argv: readonly string[], flag: string): string | undefined {
  const at = argv.findIndex((word) => word === `--${flag}` || word.startsWith(`--${flag}=`))
  if (at === -1) return undefined
  const word = argv[at]!
  return word.includes('=') ? word.slice(word.indexOf('=') + 1) : argv[at + 1]
}

/** The long flags that stand on a command line, without dashes and values. */
export function flagsOf(argv: readonly string[]): string[] {
  return argv.filter((word) => /^--./.test(word)).map((word) => word.slice(2).split('=')[0]!)
}
