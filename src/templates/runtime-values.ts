import { Environment, type RuntimeValue } from './engine.ts'

// The engine exports no class of its values: they are read off values that it makes.

export type TextValue = RuntimeValue & { value: string }
export type ListValue = RuntimeValue & { value: RuntimeValue[] }
export type MapValue = RuntimeValue & { value: Map<string, RuntimeValue> }
type ValueClass = new (value: unknown) => RuntimeValue

const classOf = (example: unknown) =>
  new Environment().set('example', example).constructor as unknown as ValueClass

const TextClass = classOf('')
const IntegerClass = classOf(0)
const FloatClass = classOf(0.5)
const BooleanClass = classOf(true)
const NullClass = classOf(null)
const UndefinedClass = classOf(undefined)
const ListClass = classOf([])
const MapClass = classOf({})
const FunctionClass = classOf(() => null)

export const textValue = (text: string) => new TextClass(text)
export const integerValue = (value: number) => new IntegerClass(value)
export const floatValue = (value: number) => new FloatClass(value)
export const booleanValue = (value: boolean) => new BooleanClass(value)
export const nullValue = () => new NullClass(null)
export const undefinedValue = () => new UndefinedClass(undefined)
export const listValue = (items: RuntimeValue[]) => new ListClass(items)
export const mapValue = (entries: Iterable<readonly [string, RuntimeValue]>) => new MapClass(new Map(entries))
export const functionValue = (call: (args: RuntimeValue[]) => RuntimeValue) => new FunctionClass(call)

export function isText(value: RuntimeValue | undefined): value is TextValue {
  return value instanceof TextClass
}

export function isInteger(value: RuntimeValue | undefined): value is RuntimeValue & { value: number } {
  return value instanceof IntegerClass
}

/** A list or a tuple. */
export function isList(value: RuntimeValue | undefined): value is ListValue {
  return value instanceof ListClass
}

/** A mapping; a namespace is none. */
export function isMap(value: RuntimeValue | undefined): value is MapValue {
  return value instanceof MapClass
}

export function isMissing(value: RuntimeValue | undefined): boolean {
  return value === undefined || value.type === 'UndefinedValue' || value.type === 'NullValue'
}

/** JSON-like data as the engine's values; objects keep their keys' order. Deeper than 200 is refused. */
export function runtimeValue(data: unknown, depth = 0): RuntimeValue {
  if (depth > 200) throw new Error('data nested deeper than 200')
  if (data === undefined) return undefinedValue()
  if (data === null) return nullValue()
  if (typeof data === 'string') return textValue(data)
  if (typeof data === 'boolean') return booleanValue(data)
  if (typeof data === 'number') return Number.isInteger(data) ? integerValue(data) : floatValue(data)
  if (Array.isArray(data)) return listValue(data.map((item) => runtimeValue(item, depth + 1)))
  if (typeof data === 'object') {
    return mapValue(Object.entries(data).map(([key, value]) => [key, runtimeValue(value, depth + 1)]))
  }
  throw new Error(`a ${typeof data} cannot be given to a template`)
}
