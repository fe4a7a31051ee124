import { invalidArgument } from '../errors.ts'
import type { Judgement, Sample } from '../verdicts.ts'
import { afterThinking, findBoxes, isBlank } from './math/reading/extraction.ts'
import { parsePattern } from './regex.ts'

export const FORMAT_TEMPLATES = ['think-answer', 'think', 'boxed'] as const

/**
 * `think-answer`: `<think>...</think> <answer>...</answer>` and nothing else. `think`: `<think>...</think>` and a text behind it.
 * `boxed`: one `\boxed{}`, thinking aside. Tags stand once each, and none of them may be empty.
 */
export type FormatTemplate = (typeof FORMAT_TEMPLATES)[number]

export interface FormatOptions {
  template?: FormatTemplate
  /** Where `<think>` stands: a chat template may have put it at the end of the prompt. Default `completion`. */
  thinking?: 'completion' | 'prompt'
}

/** Right where the completion keeps to the template, whatever it says. Plain searches, in time with its length. */
export function formatVerifier({ template = 'think-answer', thinking = 'completion' }: FormatOptions = {}) {
  return ({ completion }: Pick<Sample, 'completion'>): Judgement => {
    const text = thinking === 'prompt' && template !== 'boxed' ? `<think>${completion}` : completion
    const fault = FAULTS[template](text.trim())
    return fault === undefined
      ? { verdict: 'right', reward: 1 }
      : { verdict: 'wrong', reward: 0, reason: fault }
  }
}

/** Longer patterns are refused. */
const MAX_PATTERN = 10_000

/**
 * Right where a regular expression, `/.../flags` or bare, matches somewhere in the completion. It can be made to run for
 * ages, so that this verifier, like `regex`, never runs in the host's process. INVALID_ARGUMENT for what is no pattern.
 */
export function patternVerifier(text: string) {
  let pattern: RegExp
  try {
    if (text.length > MAX_PATTERN) throw new Error(`longer than ${MAX_PATTERN} characters`)
    pattern = parsePattern(text)
  } catch (error) {
    throw invalidArgument('verifier format, pattern', 'a regular expression', (error as Error).message)
  }
  return ({ completion }: Pick<Sample, 'completion'>): Judgement => {
    // The flags g and y go on where the last match ended.
    pattern.lastIndex = 0
    return pattern.test(completion)
      ? { verdict: 'right', reward: 1 }
      : { verdict: 'wrong', reward: 0, reason: 'the pattern does not match' }
  }
}

const FAULTS: Readonly<Record<FormatTemplate, (text: string) => string | undefined>> = {
  'think-answer': (text) => tagFault(text, ['think', 'answer']),
  think: (text) => tagFault(text, ['think']),
  boxed: (text) => boxFault(afterThinking(text)),
}

/** The first thing that is wrong with sections in tags, one behind the other; behind the last of one alone there is a text. */
function tagFault(text: string, names: readonly string[]): string | undefined {
  let at = 0
  for (const name of names) {
    const [open, close] = [`<${name}>`, `</${name}>`]
    for (const tag of [open, close]) {
      const first = text.indexOf(tag)
      if (first === -1) return `no ${tag}`
      if (text.indexOf(tag, first + 1) !== -1) return `${tag} more than once`
    }
    const start = text.indexOf(open)
    const end = text.indexOf(close)
    if (start < at) return `${open} not behind the section before`
    if (text.slice(at, start).trim() !== '') return `text before ${open}`
    if (end < start) return `${close} before ${open}`
    if (text.slice(start + open.length, end).trim() === '') return `nothing in ${open}`
    at = end + close.length
  }
  const rest = text.slice(at)
  if (names.length === 1) return rest.trim() === '' ? `nothing behind </${names[0]}>` : undefined
  return rest.trim() === '' ? undefined : `text behind </${names.at(-1)}>`
}

function boxFault(text: string): string | undefined {
  const { boxes, isOpen } = findBoxes(text)
  const [box, ...others] = boxes
  if (isOpen) return 'a box that does not close'
  if (box === undefined) return 'no box'
  if (others.length > 0) return `${boxes.length} boxes`
  if (isBlank(box.content)) return 'an empty box'
  return findBoxes(box.content).boxes.length > 0 ? 'a box in a box' : undefined
}
