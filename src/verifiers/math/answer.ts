import type { Unit } from './reading/units.ts'
import type { Node } from './tree.ts'

/** What an answer is, as far as its notation tells. */
export type Answer =
  | ValueAnswer
  | TupleAnswer
  /** A set, a bare list, the two values of a plus-minus sign: without order and repetition. */
  | { kind: 'list'; items: readonly Answer[]; joiner: 'and' | 'or' | ',' | 'braces' }
  | { kind: 'region'; pieces: readonly Piece[] }
  | { kind: 'matrix'; rows: readonly (readonly Node[])[] }
  | EquationAnswer
  | { kind: 'inequality'; sides: readonly Node[]; operators: readonly string[] }
  | { kind: 'ratio'; parts: readonly Node[] }
  | CasesAnswer
  | { kind: 'moment'; key: string }
  /** Words, or notation that the grader cannot read; they are compared as they are written. */
  | { kind: 'text'; text: string; isProse: boolean }

export interface ValueAnswer {
  kind: 'value'
  node: Node
  isPercent: boolean
  unit?: Unit
}

export interface TupleAnswer {
  kind: 'tuple'
  items: readonly Answer[]
  /** `()`, `[]`, `(]`, `[)`, `⟨⟩`, or `|` for a matrix of one column. */
  brackets: string
}

/** A function by cases, in any order. */
export interface CasesAnswer {
  kind: 'cases'
  cases: readonly { value: Answer; condition: Answer }[]
}

/** Sides that are no expressions (`(x, y) = (1, 2)`) are left out; `value` is what stands beside one bare name. */
export interface EquationAnswer {
  kind: 'equation'
  left?: Node
  right?: Node
  name?: string
  value?: Answer
  /** Whether `left` and `right` are links of a chain, `2 + 3 = 4 + 1 = 5`, rather than an equation. */
  isChain?: boolean
}

/** An interval; a point has twice the same end, both closed. */
export interface Piece {
  low: Node
  high: Node
  isLowClosed: boolean
  isHighClosed: boolean
}
