import { type Node, parse, type Token, tokenize } from './engine.ts'
import { type TemplateTag, templateTags } from './template-tags.ts'

/** A run of text, output and statements, in a node of its own so that the interpreter decides how they are joined. */
export interface Block {
  type: 'Block'
  body: BlockItem[]
}

export interface BlockItem {
  node: Node
  /** Text as it stands in the source, an expression whose value is written, or a statement. */
  kind: 'text' | 'output' | 'statement'
  /** Line of its tag. */
  line: number | undefined
}

/** Any node with its fields in sight. */
export type Fields = Node & Record<string, unknown>

export interface TemplateProgram {
  root: Node
  /** Nodes in all: what evaluating one macro's definition may cost the engine. */
  size: number
}

/** A template that cannot be read; `line` is where, as far as that is known. */
export class TemplateSyntaxError extends Error {
  readonly line: number | undefined
  constructor(message: string, line: number | undefined) {
    super(message)
    this.line = line
  }
}

type Tokens = readonly Token[]
/** The engine has one kind of node for text and for `{{ 'text' }}`: only the order of the tokens tells them apart. */
type Piece = 'text' | TemplateTag | undefined

/** Longest source, and longest run of white space: the engine's tokenizer is quadratic in the latter. */
const MAX_SOURCE = 500_000
const LONG_SPACE = /\s{2000}/
const OPENERS = new Set(['OpenStatement', 'OpenExpression', 'Comment'])
const STATEMENTS = new Set(['Set', 'If', 'For', 'Macro', 'CallStatement', 'Break', 'Continue', 'Comment'])

/** Reads a template as transformers does: trim_blocks, lstrip_blocks, `generation` tags without effect. */
export function readProgram(text: string): TemplateProgram {
  if (text.length > MAX_SOURCE)
    throw new TemplateSyntaxError(`longer than ${MAX_SOURCE} characters`, undefined)
  const source = text.replace(/\r\n?/g, '\n')
  if (LONG_SPACE.test(source))
    throw new TemplateSyntaxError('2000 characters of white space in a row', undefined)
  const tags = templateTags(source)
  const tokens = tokensOf(source, tags)
  const root = parsed(tokens, tags) as Fields
  const rewriter = new Rewriter(pieceOrder(tokens, tags), root)
  return { root: rewriter.block(root.body as Fields[]), size: rewriter.size }
}

/** Text and tags in the order of the source. */
function pieceOrder(tokens: Tokens, tags: readonly TemplateTag[]): Piece[] {
  let tag = 0
  const pieces: Piece[] = []
  for (const { type } of tokens) {
    if (type === 'Text') pieces.push('text')
    else if (OPENERS.has(type)) pieces.push(tags[tag++])
  }
  return pieces
}

function parsed(tokens: Tokens, tags: readonly TemplateTag[]): Node {
  let furthest = 0
  const watched = new Proxy([...tokens], {
    get(list, key, receiver) {
      if (typeof key === 'string' && /^\d+$/.test(key)) furthest = Math.max(furthest, Number(key))
      return Reflect.get(list, key, receiver)
    },
  })
  try {
    return parse(watched)
  } catch (error) {
    const opened = tokens.slice(0, furthest + 1).filter(({ type }) => OPENERS.has(type)).length
    const isCut = furthest >= tokens.length
    const message = isCut ? 'the template ends inside a block or a tag' : (error as Error).message
    throw new TemplateSyntaxError(message.replace(/^Parser Error: /, ''), tags[opened - 1]?.line)
  }
}

function tokensOf(source: string, tags: readonly TemplateTag[]): Tokens {
  const options = { trim_blocks: true, lstrip_blocks: true }
  try {
    return tokenize(source, options)
  } catch (error) {
    // The first tag at whose end the source so far cannot be read either is the one at fault.
    const fails = (tag: TemplateTag) => {
      try {
        tokenize(source.slice(0, tag.end), options)
        return false
      } catch {
        return true
      }
    }
    let [low, high] = [0, tags.length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (fails(tags[middle]!)) high = middle
      else low = middle + 1
    }
    throw new TemplateSyntaxError((error as Error).message, tags[low]?.line)
  }
}

/** Puts blocks around the bodies of statements and tells each item the line of its tag. */
class Rewriter {
  size = 0
  #next = 0
  readonly #pieces: readonly Piece[]
  readonly #prototype: object

  constructor(pieces: readonly Piece[], root: Node) {
    this.#pieces = pieces
    // The engine looks for nodes by their class.
    this.#prototype = Object.getPrototypeOf(root)
  }

  block(body: readonly Fields[]): Node {
    const items: BlockItem[] = body.map((node) => this.#item(node))
    return Object.assign(Object.create(this.#prototype), {
      type: 'Block',
      body: items,
      nodes: items.map(({ node }) => node),
    })
  }

  #item(node: Fields): BlockItem {
    this.size++
    const isText = this.#peek() === 'text'
    const line = this.#pass()
    if (isText) return { node, kind: 'text', line }
    if (node.type === 'FilterStatement') {
      const operand = this.block(node.body as Fields[])
      this.#pass()
      const filtered = Object.assign(Object.create(this.#prototype), {
        type: 'FilterExpression',
        operand,
        filter: node.filter,
      })
      return { node: filtered, kind: 'output', line }
    }
    if (!STATEMENTS.has(node.type)) {
      this.size += countNodes(node)
      return { node, kind: 'output', line }
    }
    this.#rewrite(node)
    return { node, kind: 'statement', line }
  }

  #rewrite(node: Fields): void {
    const inner = (key: string) => {
      const body = node[key] as Fields[]
      if (body.length > 0) node[key] = [this.block(body)]
    }
    this.size += countNodes({ ...node, body: [], alternate: [], defaultBlock: [] } as unknown as Fields)
    switch (node.type) {
      case 'If':
        this.#branches(node)
        this.#pass()
        break
      case 'For':
        inner('body')
        if (this.#peek() === 'else') {
          this.#pass()
          inner('defaultBlock')
        }
        this.#pass()
        break
      case 'Macro':
      case 'CallStatement':
        inner('body')
        this.#pass()
        break
      case 'Set':
        if (node.value === null) {
          inner('body')
          this.#pass()
        }
        break
    }
  }

  /** The bodies of an `if` and of its `elif`s, which are nested and share one end. */
  #branches(node: Fields): void {
    node.body = [this.block(node.body as Fields[])]
    const alternate = node.alternate as Fields[]
    if (this.#peek() === 'elif') {
      this.#pass()
      this.size += countNodes(alternate[0]!.test as Fields)
      this.#branches(alternate[0]!)
    } else if (this.#peek() === 'else') {
      this.#pass()
      node.alternate = [this.block(alternate)]
    }
  }

  #peek(): string | undefined {
    const piece = this.#pieces[this.#next]
    return typeof piece === 'object' ? piece.name : piece
  }

  /** The line of the next tag, which is passed. */
  #pass(): number | undefined {
    const piece = this.#pieces[this.#next++]
    return typeof piece === 'object' ? piece.line : undefined
  }
}

function countNodes(node: unknown): number {
  if (typeof node !== 'object' || node === null) return 0
  const children = node instanceof Map ? [...node].flat() : Object.values(node)
  return 1 + children.reduce((sum: number, child) => sum + countNodes(child), 0)
}
