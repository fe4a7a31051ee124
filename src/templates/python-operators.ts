import type { RuntimeValue } from './engine.ts'
import type { RenderBudget } from './render-budget.ts'
import {
  booleanValue,
  integerValue,
  isInteger,
  isList,
  isMap,
  isMissing,
  isText,
  textValue,
} from './runtime-values.ts'
import { kindOf, valueText } from './value-text.ts'

/** Operators whose meaning in the engine is JavaScript's; undefined where the engine's own will do. */
export function binaryOperation(
  operator: string,
  left: RuntimeValue,
  right: RuntimeValue,
  budget: RenderBudget,
  sizeOf: (value: RuntimeValue) => number,
): RuntimeValue | undefined {
  switch (operator) {
    case '==':
    case '!=':
      budget.make(Math.min(sizeOf(left), sizeOf(right)))
      return booleanValue(isEqual(left, right) === (operator === '=='))
    case 'in':
    case 'not in':
      budget.make(Math.min(sizeOf(right), 1_000_000))
      return booleanValue(contains(right, left) === (operator === 'in'))
    case '~':
      return textValue(valueText(left) + valueText(right))
    case '+':
      if (isText(left) !== isText(right)) throw mismatch(operator, left, right)
      return undefined
    case '*': {
      const [text, count] = isText(left) ? [left, right] : [right, left]
      if (!isText(text) || !isInteger(count)) return undefined
      budget.make(text.value.length * Math.max(0, count.value))
      return textValue(text.value.repeat(Math.max(0, count.value)))
    }
    case '%':
    case '//':
      if (isText(left)) throw mismatch(operator, left, right)
      if (right.value === 0) throw new Error('division by zero')
      if (operator === '%' && isInteger(left) && isInteger(right)) {
        return integerValue(left.value - right.value * Math.floor(left.value / right.value))
      }
      return undefined
    case '/':
      if (right.value === 0) throw new Error('division by zero')
      return undefined
    case '<':
    case '>':
    case '<=':
    case '>=':
      if (!isText(left) || !isText(right)) return undefined
      return booleanValue(compare(operator, left.value, right.value))
    default:
      return undefined
  }
}

/** As Python's ==: 1 == 1.0 == True, lists and mappings by their contents, undefined only with undefined. */
function isEqual(a: RuntimeValue, b: RuntimeValue): boolean {
  if (isText(a) || isText(b)) return isText(a) && isText(b) && a.value === b.value
  if (isList(a) || isList(b)) {
    if (!isList(a) || !isList(b) || a.value.length !== b.value.length) return false
    return a.type === b.type && a.value.every((item, i) => isEqual(item, b.value[i]!))
  }
  if (isMap(a) || isMap(b)) {
    if (!isMap(a) || !isMap(b) || a.value.size !== b.value.size) return false
    return [...a.value].every(([key, item]) => {
      const other = b.value.get(key)
      return other !== undefined && isEqual(item, other)
    })
  }
  if (isMissing(a) || isMissing(b)) return a.type === b.type
  if (isNumeric(a) && isNumeric(b)) return Number(a.value) === Number(b.value)
  return a.value === b.value
}

function isNumeric(value: RuntimeValue): boolean {
  return ['IntegerValue', 'FloatValue', 'BooleanValue'].includes(value.type)
}

function contains(container: RuntimeValue, item: RuntimeValue): boolean {
  if (isList(container)) return container.value.some((entry) => isEqual(entry, item))
  if (isMap(container)) return isText(item) && container.value.has(item.value)
  if (isText(container)) {
    if (!isText(item)) throw mismatch('in', item, container)
    return container.value.includes(item.value)
  }
  if (container.type === 'UndefinedValue') return false
  throw mismatch('in', item, container)
}

function compare(operator: string, a: string, b: string): boolean {
  // UTF-8 orders as code points do.
  const order = Buffer.compare(Buffer.from(a), Buffer.from(b))
  if (operator === '<') return order < 0
  if (operator === '>') return order > 0
  return operator === '<=' ? order <= 0 : order >= 0
}

function mismatch(operator: string, left: RuntimeValue, right: RuntimeValue): Error {
  return new Error(`'${operator}' between a ${kindOf(left)} and a ${kindOf(right)}`)
}
