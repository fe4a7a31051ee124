import { type Rational, rational } from '../rational.ts'

/** A mathematical expression. */
export type Node =
  | NumberNode
  | { kind: 'constant'; name: 'pi' | 'e' | 'i' | 'infinity' }
  | { kind: 'variable'; name: string }
  | { kind: 'sum'; terms: readonly Node[] }
  | { kind: 'product'; factors: readonly Node[] }
  | { kind: 'negation'; operand: Node }
  | { kind: 'quotient'; above: Node; below: Node }
  | { kind: 'power'; base: Node; exponent: Node }
  | { kind: 'root'; degree: number; operand: Node }
  | { kind: 'call'; name: string; operands: readonly Node[] }
  | SeriesNode

/** A sum or product over whole numbers; `index` is a name of `boundName`, so that the letter that was chosen is no matter. */
export interface SeriesNode {
  kind: 'series'
  operation: 'sum' | 'product'
  index: string
  from: Node
  to: Node
  body: Node
}

export interface NumberNode {
  kind: 'number'
  value: Rational
  /** Digits behind the decimal point, where the number was written with one. */
  places?: number
  /** Significant digits, where it was written with a decimal point. */
  significant?: number
}

export function integer(value: number | bigint): NumberNode {
  return { kind: 'number', value: rational(BigInt(value)) }
}

export function product(...factors: Node[]): Node {
  return { kind: 'product', factors }
}

export function difference(left: Node, right: Node): Node {
  return { kind: 'sum', terms: [left, { kind: 'negation', operand: right }] }
}

/** The name of the index of a sum within so many others; no letter that an answer can have. */
export function boundName(depth: number): string {
  return `#${depth + 1}`
}

/** The operands, in order. */
export function childrenOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'sum':
      return node.terms
    case 'product':
      return node.factors
    case 'negation':
    case 'root':
      return [node.operand]
    case 'quotient':
      return [node.above, node.below]
    case 'power':
      return [node.base, node.exponent]
    case 'call':
      return node.operands
    case 'series':
      return [node.from, node.to, node.body]
    default:
      return []
  }
}

/** The names of all variables in it, the indices of sums aside. */
export function variablesOf(node: Node, found = new Set<string>()): Set<string> {
  if (node.kind === 'variable' && !node.name.startsWith('#')) found.add(node.name)
  for (const child of childrenOf(node)) variablesOf(child, found)
  return found
}

/** Whether any node of the tree passes the test. */
export function someNode(node: Node, test: (node: Node) => boolean): boolean {
  return test(node) || childrenOf(node).some((child) => someNode(child, test))
}

/** The number that was written with a decimal point, perhaps with a sign before it; undefined for all else. */
export function decimalOf(node: Node): { places: number; significant: number } | undefined {
  if (node.kind === 'negation') return decimalOf(node.operand)
  if (node.kind !== 'number' || node.places === undefined) return undefined
  return { places: node.places, significant: node.significant! }
}
