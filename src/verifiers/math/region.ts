import type { Answer, Piece } from './answer.ts'
import { Unreadable } from './budget.ts'
import { type Node, variablesOf } from './tree.ts'
import type { Comparer } from './values/same-value.ts'

// Sets of real numbers: unions of intervals and points.

const INFINITY: Node = { kind: 'constant', name: 'infinity' }
const MINUS_INFINITY: Node = { kind: 'negation', operand: INFINITY }

export function wholeLine(): Answer {
  return { kind: 'region', pieces: [piece(MINUS_INFINITY, false, INFINITY, false)] }
}

function piece(low: Node, isLowClosed: boolean, high: Node, isHighClosed: boolean): Piece {
  return { low, high, isLowClosed, isHighClosed }
}

/** Intervals and sets joined by a union sign; sets alone make a set. Throws `Unreadable` for other answers. */
export function unionOf(parts: readonly Answer[]): Answer {
  if (parts.every((part) => part.kind === 'list')) {
    return { kind: 'list', items: parts.flatMap((part) => part.items), joiner: 'braces' }
  }
  return { kind: 'region', pieces: parts.flatMap((part) => piecesOf(part) ?? unreadable()) }
}

/** The whole line without some points: what lies beside each of them. */
export function complement(points: Answer): Answer {
  if (points.kind !== 'list') throw new Unreadable('a difference of sets')
  const items = points.items.map((item): Answer => {
    if (item.kind !== 'value') return unreadable()
    return { kind: 'region', pieces: holeAt(item.node) }
  })
  return items.length === 1 ? items[0]! : { kind: 'list', items, joiner: 'and' }
}

function unreadable(): never {
  throw new Unreadable('a union')
}

/** Both sides of one point. */
function holeAt(node: Node): Piece[] {
  return [piece(MINUS_INFINITY, false, node, false), piece(node, false, INFINITY, false)]
}

const FLIPPED: Readonly<Record<string, string>> = { '<': '>', '>': '<', '<=': '>=', '>=': '<=', '!=': '!=' }

/** An answer as a set of real numbers, where it can be read as one. */
export function piecesOf(answer: Answer): readonly Piece[] | undefined {
  switch (answer.kind) {
    case 'region':
      return answer.pieces
    case 'tuple': {
      const [low, high] = answer.items
      if (answer.items.length !== 2 || low?.kind !== 'value' || high?.kind !== 'value') return undefined
      if (!/^[([][)\]]$/.test(answer.brackets)) return undefined
      return [piece(low.node, answer.brackets[0] === '[', high.node, answer.brackets[1] === ']')]
    }
    case 'list': {
      if (answer.joiner === 'and' || answer.joiner === ',') return undefined
      const pieces = answer.items.map((item) =>
        item.kind === 'value' && answer.joiner === 'braces'
          ? [piece(item.node, true, item.node, true)]
          : piecesOf(item),
      )
      return pieces.includes(undefined) ? undefined : pieces.flatMap((part) => part!)
    }
    case 'inequality':
      return inequalityPieces(answer.sides, answer.operators)
    default:
      return undefined
  }
}

/** `|x - c| < r` and its like, as what lies near c or far from it. */
function distancePieces(sides: readonly Node[], operators: readonly string[]): Piece[] | undefined {
  const at = sides.findIndex((side) => side.kind === 'call' && side.name === 'abs')
  const [inside, reach] = [sides[at], sides[1 - at]]
  if (sides.length !== 2 || inside?.kind !== 'call' || variablesOf(reach!).size > 0) return undefined
  const [operand] = inside.operands as [Node]
  const terms = operand.kind === 'sum' ? operand.terms : [operand]
  const rest = terms.filter(({ kind }) => kind !== 'variable')
  if (terms.length - rest.length !== 1 || rest.some((term) => variablesOf(term).size > 0)) return undefined
  const operator = at === 0 ? operators[0]! : FLIPPED[operators[0]!]!
  const isClosed = operator.length === 2
  const centre = rest.map((operand): Node => ({ kind: 'negation', operand }))
  const high: Node = { kind: 'sum', terms: [...centre, reach!] }
  const low: Node = { kind: 'sum', terms: [...centre, { kind: 'negation', operand: reach! }] }
  if (operator[0] === '<') return [piece(low, isClosed, high, isClosed)]
  if (operator[0] !== '>') return undefined
  return [piece(MINUS_INFINITY, false, low, isClosed), piece(high, isClosed, INFINITY, false)]
}

function inequalityPieces(
  sides: readonly Node[],
  operators: readonly string[],
): readonly Piece[] | undefined {
  const near = distancePieces(sides, operators)
  if (near !== undefined) return near
  const at = sides.findIndex((side) => side.kind === 'variable')
  if (at === -1 || sides.some((side, index) => index !== at && variablesOf(side).size > 0)) return undefined
  if (sides.length === 2) {
    const operator = at === 0 ? operators[0]! : FLIPPED[operators[0]!]!
    const bound = sides[1 - at]!
    if (operator === '!=') return holeAt(bound)
    const isClosed = operator.length === 2
    return operator[0] === '<'
      ? [piece(MINUS_INFINITY, false, bound, isClosed)]
      : [piece(bound, isClosed, INFINITY, false)]
  }
  if (sides.length !== 3 || at !== 1 || operators[0]![0] !== operators[1]![0]) return undefined
  const [first, second] = operators.map((operator) => operator.length === 2) as [boolean, boolean]
  return operators[0]![0] === '<'
    ? [piece(sides[0]!, first, sides[2]!, second)]
    : [piece(sides[2]!, second, sides[0]!, first)]
}

/** The one variable that an inequality is about. */
export function variableOf(answer: Answer): string | undefined {
  if (answer.kind === 'list') return answer.items.map(variableOf).find((name) => name !== undefined)
  if (answer.kind !== 'inequality') return undefined
  const side = answer.sides.find((node) => node.kind === 'variable')
  if (side?.kind === 'variable') return side.name
  const names = new Set<string>()
  for (const node of answer.sides) variablesOf(node, names)
  return names.size === 1 ? [...names][0] : undefined
}

function isEmpty({ low, high, isLowClosed, isHighClosed }: Piece, comparer: Comparer): boolean {
  const width = comparer.order(low, high)
  return width === undefined || width > 0 || (width === 0 && !(isLowClosed && isHighClosed))
}

/** Pieces in order, empty ones left out, touching ones joined; undefined where ends cannot be ordered. */
function normalized(pieces: readonly Piece[], comparer: Comparer): Piece[] | undefined {
  const sorted: Piece[] = []
  for (const next of pieces) {
    const width = comparer.order(next.low, next.high)
    if (width === undefined) return undefined
    if (width > 0 || (width === 0 && !(next.isLowClosed && next.isHighClosed))) continue
    let at = 0
    for (; at < sorted.length; at++) {
      const order = comparer.order(next.low, sorted[at]!.low)
      if (order === undefined) return undefined
      if (order < 0 || (order === 0 && next.isLowClosed)) break
    }
    sorted.splice(at, 0, next)
  }
  const joined: Piece[] = []
  for (const next of sorted) {
    const last = joined.at(-1)
    const gap = last && comparer.order(last.high, next.low)
    if (last === undefined || gap! < 0 || (gap === 0 && !last.isHighClosed && !next.isLowClosed)) {
      joined.push(next)
      continue
    }
    const reach = comparer.order(last.high, next.high)!
    if (reach < 0) joined[joined.length - 1] = { ...last, high: next.high, isHighClosed: next.isHighClosed }
    else if (reach === 0)
      joined[joined.length - 1] = { ...last, isHighClosed: last.isHighClosed || next.isHighClosed }
  }
  return joined
}

/** What lies in all of several sets of pieces. */
export function intersection(sets: readonly (readonly Piece[])[], comparer: Comparer): Piece[] | undefined {
  let common: readonly Piece[] = [piece(MINUS_INFINITY, false, INFINITY, false)]
  for (const set of sets) {
    const next: Piece[] = []
    for (const a of common) {
      for (const b of set) {
        const [low, high] = [comparer.order(a.low, b.low), comparer.order(a.high, b.high)]
        if (low === undefined || high === undefined) return undefined
        const bottom = low > 0 ? a : b
        const top = high < 0 ? a : b
        next.push({
          low: bottom.low,
          isLowClosed: low === 0 ? a.isLowClosed && b.isLowClosed : bottom.isLowClosed,
          high: top.high,
          isHighClosed: high === 0 ? a.isHighClosed && b.isHighClosed : top.isHighClosed,
        })
      }
    }
    common = normalized(next, comparer) ?? []
  }
  return [...common]
}

/** Whether two sets of real numbers are the same; undefined where that cannot be told. */
export function areSameRegions(
  a: readonly Piece[],
  b: readonly Piece[],
  comparer: Comparer,
): boolean | undefined {
  // `(7, -2)` is a point of the plane and no interval: as intervals all such would be empty, and the same.
  if ([...a, ...b].some((one) => isEmpty(one, comparer))) return undefined
  const [left, right] = [normalized(a, comparer), normalized(b, comparer)]
  if (left === undefined || right === undefined) return undefined
  if (left.length !== right.length) return false
  return left.every((one, index) => {
    const other = right[index]!
    return (
      one.isLowClosed === other.isLowClosed &&
      one.isHighClosed === other.isHighClosed &&
      comparer.matches(one.low, other.low) &&
      comparer.matches(one.high, other.high)
    )
  })
}
