import { add, divide, multiply, negate, type Rational, rational } from './rational.ts'

export type Operator = '+' | '-' | '*' | '/'

/** An arithmetic expression over whole numbers. */
export type Expression =
  | { kind: 'number'; value: bigint }
  | { kind: 'negation'; operand: Expression }
  | { kind: 'operation'; operator: Operator; left: Expression; right: Expression }

/** Longer text is not an answer to anything here; it bounds the work on a hostile one, as does the depth. */
const MAX_CHARACTERS = 1000
const MAX_DEPTH = 50

/**
 * Reads `+ - * /`, parentheses, whole numbers and leading minus signs with the usual precedence; `× ÷ −` are read as
 * `* / -`. Undefined where the text is anything else.
 */
export function parseExpression(text: string): Expression | undefined {
  if (text.length > MAX_CHARACTERS) return undefined
  const source = text.replaceAll('×', '*').replaceAll('÷', '/').replaceAll('−', '-')
  const tokens = source.match(/\d+|[-+*/()]|\S/g) ?? []
  let place = 0

  function sum(depth: number): Expression | undefined {
    return chain(['+', '-'], () => chain(['*', '/'], () => factor(depth)))
  }

  /** Operands joined by operators of one rank, from left to right. */
  function chain(operators: string[], operand: () => Expression | undefined): Expression | undefined {
    let left = operand()
    while (left !== undefined && operators.includes(tokens[place] ?? '')) {
      const operator = tokens[place++] as Operator
      const right = operand()
      left = right && { kind: 'operation', operator, left, right }
    }
    return left
  }

  function factor(depth: number): Expression | undefined {
    const token = tokens[place++] ?? ''
    if (depth === MAX_DEPTH) return undefined
    if (/^\d/.test(token)) return { kind: 'number', value: BigInt(token) }
    if (token === '-') {
      const operand = factor(depth + 1)
      return operand && { kind: 'negation', operand }
    }
    if (token !== '(') return undefined
    const inner = sum(depth + 1)
    return tokens[place++] === ')' ? inner : undefined
  }

  const expression = sum(0)
  return place === tokens.length ? expression : undefined
}

/** The exact value; undefined where a divisor is zero. */
export function evaluate(expression: Expression): Rational | undefined {
  if (expression.kind === 'number') return rational(expression.value)
  if (expression.kind === 'negation') {
    const value = evaluate(expression.operand)
    return value && negate(value)
  }
  const left = evaluate(expression.left)
  const right = evaluate(expression.right)
  if (left === undefined || right === undefined) return undefined
  return operate(expression.operator, left, right)
}

/** `left operator right`; undefined for a division by zero. */
export function operate(operator: Operator, left: Rational, right: Rational): Rational | undefined {
  if (operator === '+') return add(left, right)
  if (operator === '-') return add(left, negate(right))
  return operator === '*' ? multiply(left, right) : divide(left, right)
}

/** Every number that stands in the expression, from left to right. */
export function numbersIn(expression: Expression): bigint[] {
  if (expression.kind === 'number') return [expression.value]
  if (expression.kind === 'negation') return numbersIn(expression.operand)
  return [...numbersIn(expression.left), ...numbersIn(expression.right)]
}

/**
 * One spelling for all expressions that differ only in the order and grouping of sums and products:
 * `3+(4+1*2)`, `2*1+4+3` and `4+3+2*1` are the same, `3+4+2` is not.
 */
export function canonicalForm(expression: Expression): string {
  if (expression.kind === 'number') return String(expression.value)
  const isSum = expression.kind === 'negation' || '+-'.includes(expression.operator)
  const parts: string[] = []
  collect(expression, isSum ? '+' : '*', isSum, parts)
  return `(${parts.sort().join('')})`
}

/** Appends the terms of a sum (with `+` or `-`) or the factors of a product (with `*` or `/`). */
function collect(expression: Expression, sign: '+' | '-' | '*' | '/', isSum: boolean, parts: string[]): void {
  const inverse = { '+': '-', '-': '+', '*': '/', '/': '*' } as const
  if (isSum && expression.kind === 'negation') {
    collect(expression.operand, inverse[sign], isSum, parts)
  } else if (expression.kind === 'operation' && '+-'.includes(expression.operator) === isSum) {
    collect(expression.left, sign, isSum, parts)
    const inverts = expression.operator === '-' || expression.operator === '/'
    collect(expression.right, inverts ? inverse[sign] : sign, isSum, parts)
  } else {
    parts.push(sign + canonicalForm(expression))
  }
}
