import type { RuntimeValue } from './engine.ts'
import { floatText, textRepr } from './python-text.ts'
import { isList, isMap, isText } from './runtime-values.ts'

export interface JsonFormat {
  ensureAscii: boolean
  indent: number | string | undefined
  separators: readonly [item: string, key: string] | undefined
  sortKeys: boolean
}

/** A value as Python's str() writes it, which is what Jinja puts into the output. */
export function valueText(value: RuntimeValue): string {
  return isText(value) ? value.value : value.type === 'UndefinedValue' ? '' : valueRepr(value)
}

function valueRepr(value: RuntimeValue): string {
  if (isText(value)) return textRepr(value.value)
  if (isList(value)) {
    const items = value.value.map(valueRepr)
    if (value.type !== 'TupleValue') return `[${items.join(', ')}]`
    return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`
  }
  if (isMap(value)) {
    const entries = Array.from(value.value, ([key, item]) => `${textRepr(key)}: ${valueRepr(item)}`)
    return `{${entries.join(', ')}}`
  }
  switch (value.type) {
    case 'BooleanValue':
      return value.value ? 'True' : 'False'
    case 'NullValue':
      return 'None'
    case 'UndefinedValue':
      return 'Undefined'
    case 'IntegerValue':
      return integerText(value.value as number)
    case 'FloatValue':
      return floatText(value.value as number)
    default:
      throw new Error(`a ${kindOf(value)} cannot be written as text`)
  }
}

/** A value as Python's json.dumps writes it. `spend` is told of every piece before it is kept. */
export function valueJson(value: RuntimeValue, format: JsonFormat, spend: (size: number) => void): string {
  const { indent, ensureAscii, sortKeys } = format
  const step = typeof indent === 'number' ? ' '.repeat(indent) : indent
  const [itemSeparator, keySeparator] = format.separators ?? [step === undefined ? ', ' : ',', ': ']
  const text = (content: string) => {
    const quoted = JSON.stringify(content)
    return ensureAscii ? quoted.replace(/[\x7f-\uffff]/g, asciiEscape) : quoted
  }
  const write = (node: RuntimeValue, lineBreak: string): string => {
    const inner = step === undefined ? '' : lineBreak + step
    const around = (open: string, pieces: string[], close: string) => {
      if (pieces.length === 0) return open + close
      for (const piece of pieces) spend(piece.length + inner.length + itemSeparator.length)
      const outer = step === undefined ? '' : lineBreak
      return open + inner + pieces.join(itemSeparator + inner) + outer + close
    }
    if (isText(node)) return text(node.value)
    if (isList(node)) {
      const items = node.value.map((item) => write(item, inner))
      return around('[', items, ']')
    }
    if (isMap(node)) {
      const entries = [...node.value]
      if (sortKeys) entries.sort(([a], [b]) => compareCodePoints(a, b))
      const pieces = entries.map(([key, item]) => text(key) + keySeparator + write(item, inner))
      return around('{', pieces, '}')
    }
    return scalarJson(node)
  }
  return write(value, '\n')
}

function scalarJson(value: RuntimeValue): string {
  switch (value.type) {
    case 'BooleanValue':
      return String(value.value)
    case 'NullValue':
      return 'null'
    case 'IntegerValue':
      return integerText(value.value as number)
    case 'FloatValue': {
      const text = floatText(value.value as number)
      return text.replace(/^(-?)(inf|nan)$/, (_, sign, word) => sign + (word === 'inf' ? 'Infinity' : 'NaN'))
    }
    default:
      throw new Error(`a ${kindOf(value)} cannot be written as JSON`)
  }
}

function integerText(value: number): string {
  return Math.abs(value) < 1e21 ? String(value) : BigInt(value).toString()
}

function asciiEscape(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function compareCodePoints(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)]
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = left[i]!.codePointAt(0)! - right[i]!.codePointAt(0)!
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

/** `StringValue` as `string`, for messages. */
export function kindOf(value: RuntimeValue): string {
  return value.type.replace(/Value$/, '').toLowerCase()
}
