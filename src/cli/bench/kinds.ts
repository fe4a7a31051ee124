import { ARROW_KIND } from './arrow-kind.ts'
import type { BenchCase, BenchKind } from './bench-case.ts'
import { EVENTLOOP_KIND } from './eventloop-kind.ts'
import { GENERATE_KIND } from './generate-kind.ts'
import { GRADE_KIND } from './grade-kind.ts'
import { HEAD_KIND } from './head-kind.ts'
import { LOAD_KIND } from './load-kind.ts'
import { OP_KIND } from './op-kind.ts'
import { SCALING_KIND } from './scaling-kind.ts'
import { SLICE_KIND, STEP_KIND } from './step-kind.ts'

/** Everything that `coppice bench` measures; docs/bench.md says how. */
export const BENCH_KINDS = {
  op: OP_KIND,
  head: HEAD_KIND,
  step: STEP_KIND,
  slice: SLICE_KIND,
  generate: GENERATE_KIND,
  load: LOAD_KIND,
  grade: GRADE_KIND,
  arrow: ARROW_KIND,
  scaling: SCALING_KIND,
  eventloop: EVENTLOOP_KIND,
} as const satisfies Record<string, BenchKind>

/** The cases of a kind, or of all kinds. */
export function casesOf(kind: keyof typeof BENCH_KINDS | 'all'): readonly BenchCase[] {
  if (kind !== 'all') return BENCH_KINDS[kind].cases()
  return Object.values(BENCH_KINDS).flatMap((each: BenchKind) => each.cases())
}
