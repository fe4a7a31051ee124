import { CoppiceError, describeValue, invalidArgument } from '../errors.ts'
import { nearest, refuseUnknownKeys, requireNumber, requireOneOf } from '../options.ts'
import type { Verifier } from '../verdicts.ts'
import { verifyArithmetic } from './arithmetic.ts'
import { verifyChoice } from './choice.ts'
import { verifyCountdown } from './countdown.ts'
import { exactVerifier } from './exact.ts'
import { FORMAT_TEMPLATES, formatVerifier, patternVerifier } from './format.ts'
import { JSON_PLACES } from './json/find-json.ts'
import { jsonSchemaVerifier } from './json/json-schema.ts'
import { MATH_DEFAULTS, mathVerifier } from './math/grade.ts'
import { verifyLoosely } from './math/loose.ts'
import { numericVerifier } from './numeric.ts'
import { overlongVerifier } from './overlong.ts'
import { verifyRegex } from './regex.ts'
import { verifyWalk } from './walk.ts'

/** A verifier that coppice brings along. */
export interface BuiltinVerifier {
  verify: Verifier
  /** Whether its work is bounded by the length of its input. One that is not runs in a process of its own. */
  isBounded: boolean
  /** Whether it only shapes the reward of verifiers before it: its verdict means nothing. Default false. */
  isShaping?: boolean
  /** Whether it goes by tokens, and not by prompt, reference, completion and finish reason alone. Default false. */
  readsTokens?: boolean
  /** Done once, in the process that is to run it, before the first sample; INVALID_ARGUMENT where it cannot be run. */
  prepare?: () => Promise<void>
}

type Options = Readonly<Record<string, string>>

const builtins: Readonly<Record<string, (options: Options) => BuiltinVerifier>> = {
  countdown: plain('countdown', verifyCountdown),
  walk: plain('walk', verifyWalk),
  arithmetic: plain('arithmetic', verifyArithmetic),
  exact(options) {
    refuseUnknownKeys(options, ['ignoreCase'], 'verifier exact')
    const { ignoreCase = 'false' } = options
    if (ignoreCase !== 'true' && ignoreCase !== 'false') {
      throw invalidArgument('verifier exact, ignoreCase', 'true or false', ignoreCase)
    }
    return { verify: exactVerifier({ ignoreCase: ignoreCase === 'true' }), isBounded: true }
  },
  choice: plain('choice', verifyChoice),
  regex: plain('regex', verifyRegex, false),
  numeric(options) {
    refuseUnknownKeys(options, ['tolerance', 'relativeTolerance'], 'verifier numeric')
    const number = (name: string) => {
      const text = options[name] ?? '0'
      return requireNumber(text.trim() === '' ? text : Number(text), `verifier numeric, ${name}`, 0)
    }
    const [tolerance, relativeTolerance] = [number('tolerance'), number('relativeTolerance')]
    return { verify: numericVerifier({ tolerance, relativeTolerance }), isBounded: true }
  },
  math(options) {
    const { policy = 'careful', ...rest } = options
    if (requireOneOf(policy, 'verifier math, policy', ['careful', 'loose']) === 'loose') {
      refuseUnknownKeys(rest, [], 'verifier math:policy=loose')
      return { verify: verifyLoosely, isBounded: true }
    }
    refuseUnknownKeys(options, ['policy', ...Object.keys(MATH_DEFAULTS)], 'verifier math')
    const { extraction, percent, units, tuples, echoes } = { ...MATH_DEFAULTS, ...rest }
    const verify = mathVerifier({
      extraction: requireOneOf(extraction, 'verifier math, extraction', ['auto', 'boxed']),
      percent: requireOneOf(percent, 'verifier math, percent', ['either', 'exact']),
      units: requireOneOf(units, 'verifier math, units', ['optional', 'required']),
      tuples: requireOneOf(tuples, 'verifier math, tuples', ['ordered', 'unordered']),
      echoes: requireOneOf(echoes, 'verifier math, echoes', ['refused', 'allowed']),
    })
    return { verify, isBounded: true }
  },
  'json-schema'(options) {
    refuseUnknownKeys(options, ['schema', 'find'], 'verifier json-schema')
    const { schema, find = 'fenced' } = options
    if (schema === '') throw invalidArgument('verifier json-schema, schema', 'a file', schema)
    const place = requireOneOf(find, 'verifier json-schema, find', JSON_PLACES)
    return {
      ...jsonSchemaVerifier({ ...(schema !== undefined && { schema }), find: place }),
      isBounded: false,
    }
  },
  format(options) {
    refuseUnknownKeys(options, ['template', 'thinking', 'pattern'], 'verifier format')
    const { template, thinking, pattern } = options
    if (pattern !== undefined) {
      if (template !== undefined || thinking !== undefined)
        throw invalidArgument('verifier format', 'pattern alone, or template and thinking', options)
      return { verify: patternVerifier(pattern), isBounded: false }
    }
    const verify = formatVerifier({
      template: requireOneOf(template ?? 'think-answer', 'verifier format, template', FORMAT_TEMPLATES),
      thinking: requireOneOf(thinking ?? 'completion', 'verifier format, thinking', ['completion', 'prompt']),
    })
    return { verify, isBounded: true }
  },
  overlong(options) {
    refuseUnknownKeys(options, ['maxLength', 'cache'], 'verifier overlong')
    const [maxLength, cache] = ['maxLength', 'cache'].map((name) => Number(options[name] || Number.NaN))
    return {
      verify: overlongVerifier({ maxLength: maxLength!, cache: cache! }),
      isBounded: true,
      isShaping: true,
      readsTokens: true,
    }
  },
}

/** The verifiers that `--verifier NAME` knows. */
export const verifierNames: readonly string[] = Object.keys(builtins)

/**
 * The built-in verifier that a spec names: `countdown`, or with options `numeric:tolerance=0.01`,
 * `exact:ignoreCase=true`, several joined by commas. INVALID_ARGUMENT for an unknown name or option.
 */
export function builtinVerifier(spec: string): BuiltinVerifier {
  const name = nameIn(spec)
  const make = Object.hasOwn(builtins, name) ? builtins[name] : undefined
  if (make === undefined) {
    const near = nearest(name, verifierNames)
    throw new CoppiceError('INVALID_ARGUMENT', `no verifier is called ${describeValue(name)}`, {
      where: 'verifier',
      expected:
        near === undefined
          ? `one of ${verifierNames.join(', ')}, or the path of a .ts, .js or .mjs file`
          : `did you mean '${near}'?`,
    })
  }
  return make(name === spec ? {} : parseOptions(spec.slice(name.length + 1), name))
}

/** The name of the built-in verifier that a spec means, whatever its options; undefined where it means none. */
export function builtinNameOf(spec: string): string | undefined {
  const name = nameIn(spec)
  return Object.hasOwn(builtins, name) ? name : undefined
}

function nameIn(spec: string): string {
  const colon = spec.indexOf(':')
  return colon === -1 ? spec : spec.slice(0, colon)
}

function parseOptions(text: string, name: string): Options {
  // A pattern is full of commas: it comes last and is taken as it stands.
  const [, others, pattern] = /^((?:.*?,)??)\s*pattern=(.*)$/s.exec(text) ?? [undefined, text, undefined]
  const parts = others!.split(',')
  if (pattern !== undefined) parts.pop()
  const pairs = parts.map((part) => {
    const equals = part.indexOf('=')
    if (equals < 1) throw invalidArgument(`verifier ${name}`, 'options of the form name=value', part)
    return [part.slice(0, equals).trim(), part.slice(equals + 1).trim()]
  })
  return { ...Object.fromEntries(pairs), ...(pattern !== undefined && { pattern }) }
}

/** A verifier without options. */
function plain(name: string, verify: Verifier, isBounded = true): (options: Options) => BuiltinVerifier {
  return (options) => {
    refuseUnknownKeys(options, [], `verifier ${name}`)
    return { verify, isBounded }
  }
}
