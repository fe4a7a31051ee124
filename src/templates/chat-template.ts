import { CoppiceError } from '../errors.ts'
import { Environment, type RuntimeValue, type Scope } from './engine.ts'
import { RENDER_LIMITS, RenderBudget, RenderLimitError, type RenderLimits } from './render-budget.ts'
import {
  booleanValue,
  functionValue,
  integerValue,
  isInteger,
  isText,
  listValue,
  mapValue,
  nullValue,
  runtimeValue,
  textValue,
} from './runtime-values.ts'
import { strftime } from './strftime.ts'
import { TemplateInterpreter } from './template-interpreter.ts'
import { readProgram, type TemplateProgram, TemplateSyntaxError } from './template-program.ts'
import { valueText } from './value-text.ts'

/** A message of a conversation: a role, usually text under `content`, and whatever else a template looks at. */
export interface ChatMessage {
  role: string
  content?: unknown
  [field: string]: unknown
}

export interface RenderOptions {
  /** Whether the text ends where the assistant is to answer. Default false. */
  addGenerationPrompt?: boolean
  /** What the template sees as `enable_thinking`; left out, it does not see the name at all. */
  enableThinking?: boolean
  /** Tools that the model may call, as JSON schemas. */
  tools?: readonly Record<string, unknown>[]
  documents?: readonly Record<string, unknown>[]
  /** What `strftime_now` tells, instead of the clock: renderings that can be repeated. */
  date?: Date
  /** Other names that the template sees, `date_string` or `reasoning_effort` say. */
  variables?: Readonly<Record<string, unknown>>
}

/** What the model's folder brings along for every rendering: `bos_token` and the like. */
export type SpecialTokens = Readonly<Record<string, string>>

/** Thrown by a template's own `raise_exception`. */
class RaisedByTemplate extends Error {}

/**
 * A chat template in Jinja, rendered as transformers' apply_chat_template does. Templates are code from elsewhere: what
 * they may use is bounded by counts, so that none hangs or takes the memory, and they see plain data only.
 */
export class ChatTemplate {
  readonly source: string
  readonly #program: TemplateProgram
  readonly #where: string
  readonly #specialTokens: SpecialTokens
  readonly #limits: RenderLimits

  /** `where` names the template in errors. DATA_CORRUPT, with the line, where the source cannot be read. */
  constructor(
    source: string,
    where = 'chat template',
    specialTokens: SpecialTokens = {},
    limits: Partial<RenderLimits> = {},
  ) {
    this.source = source
    this.#where = where
    this.#specialTokens = specialTokens
    this.#limits = { ...RENDER_LIMITS, ...limits }
    try {
      this.#program = readProgram(source)
    } catch (cause) {
      const line = cause instanceof TemplateSyntaxError ? cause.line : undefined
      throw this.#error('cannot be read', line, cause, 'a Jinja template')
    }
  }

  /** The text of a conversation. DATA_CORRUPT, with the line, where the template fails or wants too much. */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    if (messages.length === 0) {
      throw new CoppiceError('INVALID_ARGUMENT', 'no messages', {
        where: this.#where,
        expected: 'one at least',
      })
    }
    const budget = new RenderBudget(this.#limits)
    let interpreter: TemplateInterpreter | undefined
    try {
      const environment = environmentOf(messages, options, this.#specialTokens, budget)
      interpreter = new TemplateInterpreter(environment, budget, this.#program.size)
      return valueText(interpreter.evaluate(this.#program.root, environment))
    } catch (cause) {
      const expected = cause instanceof RenderLimitError ? 'a template that needs less' : undefined
      const what = cause instanceof RaisedByTemplate ? 'refuses the conversation' : 'fails'
      throw this.#error(what, interpreter?.line, cause, expected)
    }
  }

  #error(what: string, line: number | undefined, cause: unknown, expected?: string): CoppiceError {
    const reason = cause instanceof RangeError ? 'nests too deep' : (cause as Error).message
    const where = line === undefined ? this.#where : `${this.#where}, line ${line}`
    return new CoppiceError('DATA_CORRUPT', `the chat template ${what}: ${reason}`, {
      where,
      cause,
      ...(expected !== undefined && { expected }),
    })
  }
}

function environmentOf(
  messages: readonly ChatMessage[],
  options: RenderOptions,
  specialTokens: SpecialTokens,
  budget: RenderBudget,
): Scope {
  const environment = new Environment()
  const { addGenerationPrompt, enableThinking, tools, documents, date, variables } = options
  const data = {
    ...specialTokens,
    ...variables,
    ...(enableThinking !== undefined && { enable_thinking: enableThinking }),
    messages: messages.map(seenMessage),
    tools: tools ?? null,
    documents: documents ?? null,
    add_generation_prompt: addGenerationPrompt ?? false,
  }
  for (const [name, value] of Object.entries(globals(budget, date))) environment.setVariable(name, value)
  for (const [name, value] of Object.entries(data)) environment.setVariable(name, runtimeValue(value))
  return environment
}

/** As transformers shows it: nothing under a null, and reasoning under each name that templates look for. */
function seenMessage(message: ChatMessage): Record<string, unknown> {
  const seen = Object.fromEntries(
    Object.entries(message).filter(([, value]) => value !== null && value !== undefined),
  )
  const reasoning = seen.reasoning_content ?? seen.thinking ?? seen.reasoning
  if (reasoning === undefined) return seen
  return { thinking: reasoning, ...seen, reasoning_content: reasoning }
}

function globals(budget: RenderBudget, date: Date | undefined): Record<string, RuntimeValue> {
  const [yes, no, none] = [booleanValue(true), booleanValue(false), nullValue()]
  return {
    ...{ true: yes, True: yes, false: no, False: no, none, None: none },
    raise_exception: functionValue(([message]) => {
      throw new RaisedByTemplate(message === undefined ? '' : valueText(message))
    }),
    strftime_now: functionValue(([format]) => {
      if (!isText(format)) throw new Error('strftime_now needs a format')
      return textValue(strftime(date ?? new Date(), format.value))
    }),
    range: functionValue((args) => range(args, budget)),
    dict: functionValue(([named]) =>
      mapValue(named === undefined ? [] : (named.value as Map<string, RuntimeValue>)),
    ),
  }
}

function range(args: readonly RuntimeValue[], budget: RenderBudget): RuntimeValue {
  const numbers = args.map((arg) => {
    if (!isInteger(arg)) throw new Error('range() takes whole numbers')
    return arg.value
  })
  const [begin, end, step] =
    numbers.length === 1 ? [0, numbers[0]!, 1] : [numbers[0]!, numbers[1]!, numbers[2] ?? 1]
  if (numbers.length < 1 || numbers.length > 3) throw new Error('range() takes one to three numbers')
  if (step === 0) throw new Error("range()'s step is 0")
  const length = Math.max(0, Math.ceil((end - begin) / step))
  budget.make(length)
  budget.spend(length * 16)
  return listValue(Array.from({ length }, (_, i) => integerValue(begin + i * step)))
}
