import { CoppiceError, describeValue, invalidArgument } from '../errors.ts'
import { nearest, refuseUnknownKeys, requireNumber, requireOneOf } from '../options.ts'
import type { Verifier } from '../verdicts.ts'
import { verifyArithmetic } from './arithmetic.ts'
import { verifyCountdown } from './countdown.ts'
import { exactVerifier } from './exact.ts'
import { MATH_DEFAULTS, mathVerifier } from './math/grade.ts'
import { verifyLoosely } from './math/loose.ts'
import { numericVerifier } from './numeric.ts'
import { verifyRegex } from './regex.ts'
import { verifyWalk } from './walk.ts'

/** A verifier that coppice brings along. */
export interface BuiltinVerifier {
  verify: Verifier
  /** Whether its work is bounded by the length of its input. One that is not runs in a process of its own. */
  isBounded: boolean
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
}

/** The verifiers that `--verifier NAME` knows. */
export const verifierNames: readonly string[] = Object.keys(builtins)

/**
 * The built-in verifier that a spec names: `countdown`, or with options `numeric:tolerance=0.01`,
 * `exact:ignoreCase=true`, several joined by commas. INVALID_ARGUMENT for an unknown name or option.
 */
export function builtinVerifier(spec: string): BuiltinVerifier {
  const colon = spec.indexOf(':')
  const name = colon === -1 ? spec : spec.slice(0, colon)
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
  return make(colon === -1 ? {} : parseOptions(spec.slice(colon + 1), name))
}

function parseOptions(text: string, name: string): Options {
  const pairs = text.split(',').map((part) => {
    const equals = part.indexOf('=')
    if (equals < 1) throw invalidArgument(`verifier ${name}`, 'options of the form name=value', part)
    return [part.slice(0, equals).trim(), part.slice(equals + 1).trim()]
  })
  return Object.fromEntries(pairs)
}

/** A verifier without options. */
function plain(name: string, verify: Verifier, isBounded = true): (options: Options) => BuiltinVerifier {
  return (options) => {
    refuseUnknownKeys(options, [], `verifier ${name}`)
    return { verify, isBounded }
  }
}
