import { Environment, Interpreter, type Node, type RuntimeValue, type Scope } from './engine.ts'
import { type CallArguments, filterFor, methodFor } from './python-operations.ts'
import { binaryOperation } from './python-operators.ts'
import type { RenderBudget } from './render-budget.ts'
import {
  booleanValue,
  integerValue,
  isList,
  isMap,
  isText,
  mapValue,
  textValue,
  undefinedValue,
} from './runtime-values.ts'
import type { BlockItem, Fields } from './template-program.ts'
import { kindOf, valueText } from './value-text.ts'

/** Nodes that only point at a value that is there already. */
const POINTING = new Set(['Identifier', 'StringLiteral', 'IntegerLiteral', 'FloatLiteral', 'Given'])
/** What a round of a loop costs beside its body: its scope and the values of `loop`. */
const ROUND = 10
/** What sorting costs for each entry. */
const SORTED = 50
const DICT_METHODS = new Set(['items', 'keys', 'values', 'get'])

/** Leaves a loop's body by `break` or `continue`, with what was written until then. */
class LoopExit extends Error {
  text = ''
  readonly kind: string
  constructor(kind: string) {
    super(`${kind} outside a loop`)
    this.kind = kind
  }
}

/**
 * The engine with Python's meaning put in where its own differs (white space, printing, scopes of loops, undefined
 * values) and with everything counted against a budget: a template is code from elsewhere.
 */
export class TemplateInterpreter extends Interpreter {
  /** Line of the tag under way, for errors. */
  line: number | undefined
  readonly #budget: RenderBudget
  readonly #programSize: number
  readonly #depths = new WeakMap<object, number>()

  constructor(environment: Scope, budget: RenderBudget, programSize: number) {
    super(environment)
    this.#budget = budget
    this.#programSize = programSize
  }

  override evaluate(node: Node | undefined, scope: Scope): RuntimeValue {
    if (node === undefined) return undefinedValue()
    this.#budget.enter()
    this.#budget.step()
    // Where the engine indexes past the end it gives JavaScript's undefined.
    const value = this.#evaluate(node as Fields, scope) ?? undefinedValue()
    this.#charge(node as Fields, value)
    this.#budget.leave()
    return value
  }

  #evaluate(node: Fields, scope: Scope): RuntimeValue {
    switch (node.type) {
      case 'Given':
        return node.given as RuntimeValue
      case 'Block':
        return this.#block(node.body as BlockItem[], scope)
      case 'For':
        return this.#for(node, scope)
      case 'Break':
      case 'Continue':
        this.#budget.step(50)
        throw new LoopExit(node.type.toLowerCase())
      case 'Macro':
      case 'CallStatement':
        this.#budget.step(this.#programSize)
        return super.evaluate(node, scope)
      case 'Identifier':
        return lookUp(node.value as string, scope)
      case 'MemberExpression':
        return this.#member(node, scope)
      case 'CallExpression':
        return this.#call(node, scope)
      case 'FilterExpression':
        return this.#filter(node, scope)
      case 'TestExpression':
        return this.#test(node, scope)
      case 'BinaryExpression':
        return this.#binary(node, scope)
      default:
        return super.evaluate(node, scope)
    }
  }

  #block(items: readonly BlockItem[], scope: Scope): RuntimeValue {
    let text = ''
    for (const { node, kind, line } of items) {
      if (line !== undefined) this.line = line
      try {
        const value = this.evaluate(node, scope)
        if (kind === 'output') text += valueText(value)
        else if (isText(value)) text += value.value
      } catch (error) {
        if (error instanceof LoopExit) error.text = text + error.text
        throw error
      }
    }
    return textValue(text)
  }

  #for(node: Fields, outer: Scope): RuntimeValue {
    const iterable = node.iterable as Fields
    const isFiltered = iterable.type === 'SelectExpression'
    const all = itemsOf(this.evaluate((isFiltered ? iterable.lhs : iterable) as Node, outer))
    this.#budget.step(all.length * ROUND)
    const scope = new Environment(outer)
    const items = all.filter((item) => {
      if (!isFiltered) return true
      scope.variables = new Map()
      bind(node.loopvar as Fields, item, scope)
      return this.evaluate(iterable.test as Node, scope).__bool__().value
    })
    let text = ''
    for (const [index, item] of items.entries()) {
      // What a round sets is gone in the next one.
      scope.variables = new Map()
      scope.setVariable('loop', loopValue(index, items))
      bind(node.loopvar as Fields, item, scope)
      try {
        text += blockText(node.body, (body) => this.evaluate(body, scope))
      } catch (error) {
        if (!(error instanceof LoopExit)) throw error
        text += error.text
        if (error.kind === 'break') break
      }
    }
    if (items.length === 0) text = blockText(node.defaultBlock, (body) => this.evaluate(body, outer))
    return textValue(text)
  }

  #member(node: Fields, scope: Scope): RuntimeValue {
    const object = this.evaluate(node.object as Node, scope)
    const property = node.property as Fields
    if (object.type === 'UndefinedValue') throw new Error(`${sourceOf(node.object as Fields)} is undefined`)
    if (node.computed === true && property.type !== 'SliceExpression') {
      const key = this.evaluate(property, scope)
      if (isMap(object) && !isText(key)) return undefinedValue()
      if (isText(object) && key.type === 'IntegerValue') {
        const character = Array.from(object.value).at(key.value as number)
        return character === undefined ? undefinedValue() : textValue(character)
      }
      if (object.type === 'NullValue') return undefinedValue()
      return super.evaluate({ ...node, object: given(object), property: given(key) } as Node, scope)
    }
    if (property.type === 'SliceExpression' && (isText(object) || isList(object))) {
      this.#budget.make(object.value.length)
    }
    // x.items is the method even where x has such a key; x['items'] is the key.
    if (isMap(object) && node.computed !== true && DICT_METHODS.has(property.value as string)) {
      return object.builtins.get(property.value as string) ?? undefinedValue()
    }
    return super.evaluate({ ...node, object: given(object) } as Node, scope)
  }

  #call(node: Fields, scope: Scope): RuntimeValue {
    const callee = node.callee as Fields
    if (callee.type !== 'MemberExpression' || callee.computed === true) return super.evaluate(node, scope)
    const object = this.evaluate(callee.object as Node, scope)
    const name = (callee.property as Fields).value as string
    const method = isText(object) ? methodFor(name) : undefined
    if (isText(object) && method !== undefined) {
      this.#budget.make(object.value.length)
      return method(object.value, this.#arguments(node.args as Fields[], scope), this.#budget)
    }
    return super.evaluate({ ...node, callee: { ...callee, object: given(object) } } as Node, scope)
  }

  #filter(node: Fields, scope: Scope): RuntimeValue {
    const filter = node.filter as Fields
    const name = (filter.type === 'CallExpression' ? (filter.callee as Fields) : filter).value as string
    const operand = this.evaluate(node.operand as Node, scope)
    if (isText(operand) || isList(operand)) this.#budget.make(operand.value.length)
    if (name === 'sort' && isList(operand)) this.#budget.spend(operand.value.length * SORTED)
    const own = filterFor(name)
    const args = filter.type === 'CallExpression' ? (filter.args as Fields[]) : []
    const result = own?.(operand, () => this.#arguments(args, scope), this.#budget)
    return result ?? super.evaluate({ ...node, operand: given(operand) } as Node, scope)
  }

  #test(node: Fields, scope: Scope): RuntimeValue {
    if ((node.test as Fields).value !== 'iterable') return super.evaluate(node, scope)
    const value = this.evaluate(node.operand as Node, scope)
    const holds = isText(value) || isList(value) || isMap(value) || value.type === 'UndefinedValue'
    return booleanValue(holds !== node.negate)
  }

  #binary(node: Fields, scope: Scope): RuntimeValue {
    const operator = (node.operator as { value: string }).value
    if (operator === 'and' || operator === 'or') return super.evaluate(node, scope)
    const left = this.evaluate(node.left as Node, scope)
    const right = this.evaluate(node.right as Node, scope)
    const size = (value: RuntimeValue) => this.#sizeOf(value)
    const own = binaryOperation(operator, left, right, this.#budget, size)
    return own ?? super.evaluate({ ...node, left: given(left), right: given(right) } as Node, scope)
  }

  #arguments(nodes: readonly Fields[], scope: Scope): CallArguments {
    const positional: RuntimeValue[] = []
    const named = new Map<string, RuntimeValue>()
    for (const node of nodes) {
      if (node.type === 'KeywordArgumentExpression') {
        named.set((node.key as Fields).value as string, this.evaluate(node.value as Node, scope))
      } else if (node.type === 'SpreadExpression' || node.type === 'KeywordSpreadExpression') {
        throw new Error('* and ** are not supported here')
      } else positional.push(this.evaluate(node, scope))
    }
    return { positional, named }
  }

  /** What a node made counts; what it only pointed at does not. */
  #charge(node: Fields, value: RuntimeValue): void {
    if (POINTING.has(node.type)) return
    if (node.type === 'MemberExpression' && (node.property as Fields).type !== 'SliceExpression') return
    if (isText(value)) this.#budget.make(value.value.length)
    else if (isList(value) || isMap(value)) {
      this.#budget.make(isList(value) ? value.value.length : value.value.size)
      this.#budget.requireSize(this.#sizeOf(value))
    }
  }

  /** Characters and entries in all depths, shared parts counted as often as they stand: what writing it out costs. */
  #sizeOf(value: RuntimeValue): number {
    if (isText(value)) return value.value.length + 1
    if (!isList(value) && !isMap(value)) return 1
    const known = this.#depths.get(value)
    if (known !== undefined) return known
    let size = 1
    if (isList(value)) for (const item of value.value) size += this.#sizeOf(item)
    else for (const [key, item] of value.value) size += key.length + this.#sizeOf(item)
    this.#depths.set(value, size)
    return size
  }
}

function given(value: RuntimeValue): Node {
  return { type: 'Given', given: value } as unknown as Node
}

/** The engine's own look-up makes an Error, with its stack, for each name that is not there. */
function lookUp(name: string, scope: Scope): RuntimeValue {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.parent) {
    const value: RuntimeValue | undefined = at.variables.get(name)
    if (value !== undefined) return value
  }
  return undefinedValue()
}

function itemsOf(value: RuntimeValue): readonly RuntimeValue[] {
  if (isList(value)) return value.value
  if (isMap(value)) return Array.from(value.value.keys(), textValue)
  if (isText(value)) return Array.from(value.value, textValue)
  if (value.type === 'UndefinedValue') return []
  throw new Error(`a ${kindOf(value)} cannot be looped over`)
}

function bind(target: Fields, item: RuntimeValue, scope: Scope): void {
  if (target.type === 'Identifier') {
    scope.setVariable(target.value as string, item)
    return
  }
  const names = target.value as Fields[]
  if (!isList(item) || item.value.length !== names.length) {
    throw new Error(`expected ${names.length} values to unpack in a loop`)
  }
  for (const [i, name] of names.entries()) bind(name, item.value[i]!, scope)
}

function loopValue(index: number, items: readonly RuntimeValue[]): RuntimeValue {
  const left = items.length - index
  return mapValue([
    ['index', integerValue(index + 1)],
    ['index0', integerValue(index)],
    ['revindex', integerValue(left)],
    ['revindex0', integerValue(left - 1)],
    ['first', booleanValue(index === 0)],
    ['last', booleanValue(left === 1)],
    ['length', integerValue(items.length)],
    ['previtem', items[index - 1] ?? undefinedValue()],
    ['nextitem', items[index + 1] ?? undefinedValue()],
  ])
}

function blockText(body: unknown, evaluate: (node: Node) => RuntimeValue): string {
  const [block] = body as Node[]
  return block === undefined ? '' : valueText(evaluate(block))
}

function sourceOf(node: Fields): string {
  if (node.type === 'Identifier') return `'${node.value}'`
  if (node.type === 'MemberExpression') {
    const property = node.property as Fields
    return `${sourceOf(node.object as Fields).slice(0, -1)}.${property.value ?? '...'}'`
  }
  return "'...'"
}
