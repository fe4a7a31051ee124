import * as jinja from '@huggingface/jinja'

// What this folder uses of the template engine, typed here: the package's declarations import each other without file
// extensions, which this project's module resolution does not follow.

/** A value of a template; `value` is to be looked at only after it was asked what it is. */
export interface RuntimeValue {
  type: string
  value: unknown
  builtins: ReadonlyMap<string, RuntimeValue>
  __bool__(): { value: boolean }
}

/** A node of a parsed template; `type` says which. */
export interface Node {
  type: string
}

/** The names that a piece of a template sees. */
export interface Scope {
  parent?: Scope
  variables: Map<string, RuntimeValue>
  setVariable(name: string, value: RuntimeValue): RuntimeValue
  /** Converts plain data. */
  set(name: string, value: unknown): RuntimeValue
}

export interface Token {
  type: string
  value: string
}

interface Engine {
  evaluate(node: Node | undefined, scope: Scope): RuntimeValue
}

type Tokenize = (source: string, options: { trim_blocks: boolean; lstrip_blocks: boolean }) => Token[]

export const Environment = jinja.Environment as unknown as new (parent?: Scope) => Scope
export const Interpreter = jinja.Interpreter as unknown as new (scope: Scope) => Engine
export const parse = jinja.parse as unknown as (tokens: Token[]) => Node
export const tokenize = jinja.tokenize as unknown as Tokenize
