import { benchVerb } from './bench.ts'
import { buildVerb } from './build.ts'
import { doctorVerb } from './doctor.ts'
import { evalVerb } from './eval.ts'
import { experimentVerb } from './experiment.ts'
import { explainVerb } from './explain.ts'
import { generateVerb } from './generate.ts'
import { gradVerb } from './grad.ts'
import { initVerb } from './init.ts'
import { inspectVerb } from './inspect.ts'
import { planVerb } from './plan.ts'
import { reportVerb } from './report.ts'
import { scoreVerb } from './score.ts'
import { sftVerb } from './sft.ts'
import { taskVerb } from './task.ts'
import { trainVerb } from './train.ts'
import type { Verb } from './verb.ts'
import { verifyVerb } from './verify.ts'

/** Every verb, in the order of the help text. */
export const VERBS: readonly Verb[] = [
  experimentVerb,
  taskVerb,
  initVerb,
  sftVerb,
  trainVerb,
  generateVerb,
  verifyVerb,
  scoreVerb,
  gradVerb,
  explainVerb,
  evalVerb,
  reportVerb,
  planVerb,
  inspectVerb,
  doctorVerb,
  benchVerb,
  buildVerb,
]
