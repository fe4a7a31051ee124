import type { RuntimeValue } from './engine.ts'
import { capitalize, lines, split, strip, title } from './python-text.ts'
import type { RenderBudget } from './render-budget.ts'
import {
  integerValue,
  isInteger,
  isList,
  isMap,
  isMissing,
  isText,
  listValue,
  textValue,
} from './runtime-values.ts'
import { kindOf, valueJson, valueText } from './value-text.ts'

export interface CallArguments {
  positional: RuntimeValue[]
  named: Map<string, RuntimeValue>
}

type Method = (text: string, args: CallArguments, budget: RenderBudget) => RuntimeValue
/** Undefined where the engine's own filter will do. */
type Filter = (
  operand: RuntimeValue,
  args: () => CallArguments,
  budget: RenderBudget,
) => RuntimeValue | undefined

/** A list entry costs the memory of some dozen characters. */
const ENTRY = 16

/** Methods of str that the engine lacks, or whose arguments or white space it takes otherwise. */
export function methodFor(name: string): Method | undefined {
  return Object.hasOwn(METHODS, name) ? METHODS[name] : undefined
}

/** Filters that the engine lacks or applies otherwise than Jinja. */
export function filterFor(name: string): Filter | undefined {
  return Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined
}

const METHODS: Record<string, Method> = {
  strip: (text, args) => textValue(strip(text, 'both', optionalText(args, 0, 'chars'))),
  lstrip: (text, args) => textValue(strip(text, 'left', optionalText(args, 0, 'chars'))),
  rstrip: (text, args) => textValue(strip(text, 'right', optionalText(args, 0, 'chars'))),
  split(text, args, budget) {
    const pieces = split(text, optionalText(args, 0, 'sep'), optionalInteger(args, 1, 'maxsplit') ?? -1)
    budget.spend(pieces.length * ENTRY)
    return texts(pieces)
  },
  splitlines: (text) => texts(lines(text)),
  replace: (text, args, budget) => {
    const [from, to] = [requiredText(args, 0, 'old'), requiredText(args, 1, 'new')]
    return textValue(replaced(text, from, to, optionalInteger(args, 2, 'count') ?? -1, budget))
  },
  join(text, args, budget) {
    const list = argument(args, 0, 'iterable')
    if (!isList(list)) throw new Error('join() needs a list')
    for (const item of list.value) {
      if (!isText(item)) throw new Error(`join() found a ${kindOf(item)} in the list`)
    }
    return textValue(joined(list.value, text, budget))
  },
  title: (text) => textValue(title(text)),
  capitalize: (text) => textValue(capitalize(text)),
  find(text, args) {
    const at = text.indexOf(requiredText(args, 0, 'sub'))
    return integerValue(at < 0 ? at : Array.from(text.slice(0, at)).length)
  },
  removeprefix(text, args) {
    const prefix = requiredText(args, 0, 'prefix')
    return textValue(text.startsWith(prefix) ? text.slice(prefix.length) : text)
  },
  removesuffix(text, args) {
    const suffix = requiredText(args, 0, 'suffix')
    return textValue(text.endsWith(suffix) ? text.slice(0, text.length - suffix.length) : text)
  },
}

const FILTERS: Record<string, Filter> = {
  string: (operand) => textValue(valueText(operand)),
  trim: (operand, args) => textValue(strip(valueText(operand), 'both', optionalText(args(), 0, 'chars'))),
  tojson(operand, args, budget) {
    const given = args()
    const indent = argument(given, 1, 'indent')
    const separators = argument(given, 2, 'separators')
    if (isInteger(indent)) budget.make(Math.max(0, indent.value))
    return textValue(
      valueJson(
        operand,
        {
          ensureAscii: truth(argument(given, 0, 'ensure_ascii')),
          indent: isInteger(indent) ? Math.max(0, indent.value) : isText(indent) ? indent.value : undefined,
          separators: isList(separators) ? pairOfTexts(separators.value) : undefined,
          sortKeys: truth(argument(given, 3, 'sort_keys')),
        },
        (size) => budget.make(size),
      ),
    )
  },
  join(operand, args, budget) {
    const given = args()
    if (given.named.has('attribute')) throw new Error("join's attribute is not supported")
    const items = isText(operand)
      ? Array.from(operand.value, textValue)
      : isList(operand)
        ? operand.value
        : []
    if (!isList(operand) && !isText(operand) && operand.type !== 'UndefinedValue') {
      throw new Error(`a ${kindOf(operand)} cannot be joined`)
    }
    return textValue(joined(items, optionalText(given, 0, 'd') ?? '', budget))
  },
  replace(operand, args, budget) {
    const given = args()
    const [from, to] = [requiredText(given, 0, 'old'), requiredText(given, 1, 'new')]
    return textValue(replaced(valueText(operand), from, to, optionalInteger(given, 2, 'count') ?? -1, budget))
  },
  indent: (operand, args, budget) => textValue(indented(valueText(operand), args(), budget)),
  length: (operand) => lengthOf(operand),
  count: (operand) => lengthOf(operand),
  list(operand, _args, budget) {
    if (isText(operand)) {
      budget.spend(operand.value.length * ENTRY)
      return texts(Array.from(operand.value))
    }
    if (isMap(operand)) return texts([...operand.value.keys()])
    return operand.type === 'UndefinedValue' ? listValue([]) : undefined
  },
  items: (operand) => (operand.type === 'UndefinedValue' ? listValue([]) : undefined),
  capitalize: (operand) => textValue(capitalize(valueText(operand))),
  title: (operand) =>
    textValue(
      valueText(operand)
        .split(/([-\s({[<]+)/)
        .map(capitalize)
        .join(''),
    ),
  upper: (operand) => textValue(valueText(operand).toUpperCase()),
  lower: (operand) => textValue(valueText(operand).toLowerCase()),
}

function lengthOf(operand: RuntimeValue): RuntimeValue | undefined {
  if (isText(operand)) return integerValue(Array.from(operand.value).length)
  return operand.type === 'UndefinedValue' ? integerValue(0) : undefined
}

function replaced(text: string, from: string, to: string, most: number, budget: RenderBudget): string {
  const pieces = from === '' ? ['', ...Array.from(text), ''] : text.split(from)
  const count = most < 0 ? pieces.length - 1 : Math.min(most, pieces.length - 1)
  budget.make(text.length + count * (to.length + ENTRY))
  if (count === pieces.length - 1) return pieces.join(to)
  return pieces.slice(0, count).join(to) + (count > 0 ? to : '') + pieces.slice(count).join(from)
}

function joined(items: readonly RuntimeValue[], separator: string, budget: RenderBudget): string {
  const pieces: string[] = []
  let size = 0
  for (const item of items) {
    const piece = valueText(item)
    size += piece.length + separator.length
    budget.requireSize(size)
    pieces.push(piece)
  }
  return pieces.join(separator)
}

function indented(text: string, args: CallArguments, budget: RenderBudget): string {
  const width = argument(args, 0, 'width')
  const size = isText(width) ? width.value.length : isInteger(width) ? Math.max(0, width.value) : 4
  const [first, ...others] = lines(`${text}\n`)
  budget.make(text.length + (others.length + 1) * (size + ENTRY))
  const margin = isText(width) ? width.value : ' '.repeat(size)
  const isBlankToo = truth(argument(args, 2, 'blank'))
  const rest = others.map((line) => `\n${line === '' && !isBlankToo ? '' : margin}${line}`)
  return (truth(argument(args, 1, 'first')) ? margin : '') + (first ?? '') + rest.join('')
}

function texts(pieces: readonly string[]): RuntimeValue {
  return listValue(pieces.map(textValue))
}

function argument(args: CallArguments, place: number, name: string): RuntimeValue | undefined {
  return args.positional[place] ?? args.named.get(name)
}

function optionalText(args: CallArguments, place: number, name: string): string | undefined {
  const value = argument(args, place, name)
  if (isMissing(value)) return undefined
  if (isText(value)) return value.value
  throw new Error(`${name} is a ${kindOf(value!)}, not a string`)
}

function requiredText(args: CallArguments, place: number, name: string): string {
  const text = optionalText(args, place, name)
  if (text === undefined) throw new Error(`${name} is missing`)
  return text
}

function optionalInteger(args: CallArguments, place: number, name: string): number | undefined {
  const value = argument(args, place, name)
  if (isMissing(value)) return undefined
  if (isInteger(value)) return value.value
  throw new Error(`${name} is a ${kindOf(value!)}, not a whole number`)
}

function pairOfTexts(items: readonly RuntimeValue[]): [string, string] {
  const [item, key] = items
  if (items.length !== 2 || !isText(item) || !isText(key)) throw new Error('separators are not two strings')
  return [item.value, key.value]
}

function truth(value: RuntimeValue | undefined): boolean {
  return value?.__bool__().value ?? false
}
