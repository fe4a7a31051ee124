import { chooseNamed, listOf } from './bench/choose-named.ts'
import { BENCH_KINDS, casesOf } from './bench/kinds.ts'
import { runCases } from './bench/run-cases.ts'
import { COMPARE_FLAGS, compareBench, refuseMisplacedFlags } from './bench-compare/compare.ts'
import { measureCase } from './bench-compare/own-side.ts'
import { JSON_FLAG } from './flags.ts'
import { interruptible } from './interrupt.ts'
import { requireAtLeast, requireWhole } from './number-flags.ts'
import { defineVerb } from './verb.ts'

type Kind = keyof typeof BENCH_KINDS | 'all'

const KINDS = Object.keys(BENCH_KINDS)
/** Runs and seconds of a case: enough for a median that a quiet machine repeats. */
const REPEATS = 15
const SECONDS = 10
/** The same where only the command lines are tried. */
const QUICK = { repeats: 3, seconds: 0 }

export const benchVerb = defineVerb({
  command: 'bench [kind]',
  describe: 'throughput of this machine against its own peaks (docs/bench.md)',
  positional: {
    kind: {
      choices: [...KINDS, 'all'],
      default: 'all',
      describe: `what is measured:\n${Object.entries(BENCH_KINDS)
        .map(([kind, { describe }]) => `${kind}: ${describe}`)
        .join('\n')}\n`,
    },
  },
  flags: {
    device: { choices: ['auto', 'cpu', 'cuda'], default: 'cpu', describe: 'where' },
    threads: { type: 'number', describe: 'CPU threads [default: all cores]' },
    dtype: { choices: ['f32', 'bf16'], default: 'f32', describe: 'type of parameters' },
    isa: { type: 'string', describe: 'CPU instruction set [default: the best there is]' },
    cases: { type: 'string', describe: 'some cases, as step/S,generate/S-256 [default: all of the kind]' },
    list: { type: 'boolean', default: false, describe: 'only print the names of the cases' },
    repeats: { type: 'number', describe: `most runs of a case that are timed [default: ${REPEATS}]` },
    seconds: {
      type: 'number',
      describe: `how long a case is timed, three runs at least [default: ${SECONDS}; a turn of --compare: 3]`,
    },
    quick: { type: 'boolean', default: false, describe: 'tiny sizes, to try the bench out: no figures' },
    save: { type: 'string', describe: 'append the rows to this file, one JSON object a line' },
    ...COMPARE_FLAGS,
    ...JSON_FLAG,
  },
  examples: [
    ['$0 bench step --dtype bf16', 'optimiser steps with parameters in bf16'],
    ['$0 bench scaling --list', 'what there is to choose from with --cases'],
    ['$0 bench op --compare', 'beside PyTorch, oneDNN and OpenBLAS'],
  ],
  async run(args) {
    if (args.case !== undefined) return console.log(JSON.stringify(await measureCase(args.case, args.isa)))
    const kind = args.kind as Kind
    const compared = { ...args, kind }
    refuseMisplacedFlags(compared)
    if (args.compare) return compareBench(compared)
    const cases = chooseNamed(casesOf(kind), listOf(args.cases))
    if (args.list) {
      const list = cases.map(({ name }) => name)
      return console.log(args.json ? JSON.stringify(list) : list.join('\n'))
    }
    const usual = args.quick ? QUICK : { repeats: REPEATS, seconds: SECONDS }
    const timing = {
      repeats: requireWhole(args.repeats ?? usual.repeats, '--repeats', 1),
      seconds: requireAtLeast(args.seconds ?? usual.seconds, '--seconds', 0),
    }
    const backend = {
      ...{ device: args.device, dtype: args.dtype },
      ...(args.threads !== undefined && { threads: args.threads }),
      ...(args.isa !== undefined && { isa: args.isa }),
    }
    return interruptible((signal) =>
      runCases(cases, { backend, timing: { ...timing, signal }, isQuick: args.quick }, args),
    )
  },
})
