import { taggedAnswer } from '../../answer-text.ts'

// Where in a response its answer stands. Plain searches and one walk over the text: no pattern that could backtrack.

export type Extraction = 'auto' | 'boxed'

/** Longer responses are not read from the start: the answer is looked for in their last part. */
const MAX_RESPONSE = 200_000
/** Longer answers are no answers. */
const MAX_ANSWER = 4000

export type Found = { text: string } | { fault: string }

/** How an answer is announced. */
export const ANNOUNCEMENTS: readonly string[] = ['final answer', 'answer is', 'answer:']

/** The answer's text, or why there is none. `announcements` are in lower case. */
export function extractAnswer(response: string, policy: Extraction, announcements = ANNOUNCEMENTS): Found {
  const text = afterThinking(response.length > MAX_RESPONSE ? response.slice(-MAX_RESPONSE) : response)
  const boxed = boxedText(text)
  const written = () => writtenText(taggedAnswer(text) ?? text, announcements)
  const found = boxed ?? (policy === 'boxed' ? { fault: 'no box' } : written())
  if ('text' in found) {
    if (isBlank(found.text)) return { fault: 'an empty answer' }
    if (found.text.length > MAX_ANSWER) return { fault: 'an answer of more than 4000 characters' }
  }
  return found
}

function writtenText(text: string, announcements: readonly string[]): Found {
  return announcedText(text, announcements) ?? lastLine(text)
}

/** What stands behind the last `</think>`; all of it where there is none. */
export function afterThinking(text: string): string {
  const end = text.lastIndexOf('</think>')
  return end === -1 ? text : text.slice(end + '</think>'.length)
}

/** Whether nothing but signs without meaning stands there. */
export function isBlank(text: string): boolean {
  return /^[\s$\\,;.{}]*$/.test(text) && !text.includes('\\{')
}

interface Box {
  start: number
  end: number
  content: string
}

/** The last box, with those joined to it on its line; undefined where there is no box. */
function boxedText(text: string): Found | undefined {
  const { boxes, isOpen } = findBoxes(text)
  const last = boxes.at(-1)
  if (last === undefined) return isOpen ? { fault: 'a box that does not close' } : undefined
  const joined = [last.content]
  for (let i = boxes.length - 2; i >= 0; i--) {
    const between = text.slice(boxes[i]!.end, boxes[i + 1]!.start)
    if (between.length > 60 || !isJoint(between)) break
    joined.unshift(boxes[i]!.content)
  }
  if (joined.some(isBlank)) return { fault: 'an empty box' }
  // Boxes within boxes; their number is bounded by the length of an answer.
  const inner = joined.map((content) =>
    content.length <= MAX_ANSWER && content.includes('boxed{') ? findBoxes(content) : undefined,
  )
  if (inner.length === 1 && inner[0]?.boxes.length === 1) return boxedText(last.content)
  return { text: joined.length === 1 ? last.content : joined.join(', ') }
}

/** Whether nothing but a comma, `and` or `or` stands between two boxes of a line. */
function isJoint(between: string): boolean {
  if (between.includes('\n')) return false
  const words = between
    .replaceAll(/\\(?:text|quad|qquad|mathrm)|\\[,;: ]|[${}\\()*]/g, ' ')
    .replaceAll(',', ' , ')
    .trim()
    .split(/\s+/)
  return (
    words.length > 0 &&
    words.every((word) => ['', ',', 'and', 'or', '&'].includes(word)) &&
    between.trim() !== ''
  )
}

/** Every box whose braces balance (of nested ones the outer), and whether one of the others is behind all of them. */
export function findBoxes(text: string): { boxes: Box[]; isOpen: boolean } {
  const openings: { start: number; from: number; depth: number }[] = []
  const boxes: Box[] = []
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const sign = text[i]
    if (sign === '\\') {
      const opening = ['\\boxed', '\\fbox'].find((command) => text.startsWith(command, i))
      if (opening === undefined) {
        i++
        continue
      }
      let from = i + opening.length
      while (text[from] === ' ') from++
      if (text[from] === '{') {
        openings.push({ start: i, from: from + 1, depth })
        depth++
        i = from
      }
    } else if (sign === '{') depth++
    else if (sign === '}') {
      depth--
      const open = openings.at(-1)
      if (open !== undefined && depth <= open.depth) {
        openings.pop()
        // A box within a box is the outer one's content.
        while (boxes.length > 0 && boxes.at(-1)!.start > open.start) boxes.pop()
        boxes.push({ start: open.start, end: i + 1, content: text.slice(open.from, i) })
      }
      if (depth < 0) depth = 0
    }
  }
  return { boxes, isOpen: openings.length > 0 }
}

/** What follows the last phrase that announces an answer, up to the end of its sentence. */
function announcedText(text: string, announcements: readonly string[]): Found | undefined {
  const lower = text.toLowerCase()
  let start = -1
  for (const phrase of announcements) {
    const at = lower.lastIndexOf(phrase)
    if (at !== -1) start = Math.max(start, at + phrase.length)
  }
  // GSM8K's mark. Further up it is a heading.
  const end = text.trimEnd()
  const line = end.lastIndexOf('\n') + 1
  if (end.startsWith('####', line)) start = Math.max(start, line + 4)
  if (start === -1) return undefined
  let rest = text.slice(start, start + MAX_ANSWER + 1000)
  for (;;) {
    const trimmed = rest.replace(/^(?:[\s:*_#}]|is\b|are\b|answer\b|therefore\b|thus\b|that\b)/, '')
    if (trimmed === rest) break
    rest = trimmed
  }
  return { text: withoutTrimmings(withoutReason(sentenceOf(rest)).replace(/[*_\s]{1,20}$/, '')) }
}

/** A reason behind the answer is not part of it. */
function withoutReason(sentence: string): string {
  for (const word of [' because ', ' since ', ', so ', ', as ', ', which ', ', where ']) {
    const at = sentence.indexOf(word)
    if (at > 0) return sentence.slice(0, at).trim().replace(/,$/, '')
  }
  return sentence
}

/** Up to a full stop before white space, or the end of the line. A display may go over lines. */
function sentenceOf(text: string): string {
  const display = ['\\[', '$$'].find((mark) => text.startsWith(mark))
  if (display !== undefined) {
    const end = text.indexOf(display === '$$' ? '$$' : '\\]', 2)
    if (end !== -1) return text.slice(2, end)
  }
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\n') return text.slice(0, i)
    if (
      text[i] === '.' &&
      (i + 1 === text.length || ' \n*$'.includes(text[i + 1]!)) &&
      !/[ap]\.m$/i.test(text.slice(Math.max(0, i - 3), i))
    ) {
      return text.slice(0, i)
    }
  }
  return text
}

/** The last line that is not empty; whether it is an answer is for its reader to say. */
function lastLine(text: string): Found {
  const trimmed = text.trim()
  if (trimmed === '') return { fault: 'no answer' }
  for (const [open, close] of [
    ['\\[', '\\]'],
    ['$$', '$$'],
  ] as const) {
    if (!trimmed.endsWith(close) && !trimmed.endsWith(`${close}.`)) continue
    const end = trimmed.lastIndexOf(close)
    const start = trimmed.lastIndexOf(open, end - 1)
    if (start !== -1) return { text: trimmed.slice(start + 2, end).trim() }
  }
  const line = trimmed.slice(trimmed.lastIndexOf('\n') + 1)
  return { text: line.length > MAX_ANSWER ? line : withoutTrimmings(line) }
}

const MARKS: readonly [string, string][] = [
  ['**', '**'],
  ['$$', '$$'],
  ['$', '$'],
  ['\\(', '\\)'],
  ['\\[', '\\]'],
  ['`', '`'],
]

/** Without a full stop and the marks of mathematics or bold type around it. */
export function withoutTrimmings(text: string): string {
  let rest = text.trim()
  for (let before = ''; before !== rest; ) {
    before = rest
    if (rest.endsWith('.') && !/[ap]\.m\.$/i.test(rest)) rest = rest.slice(0, -1).trim()
    for (const [open, close] of MARKS) {
      const inner = rest.slice(open.length, -close.length)
      if (rest.length >= open.length + close.length && rest.startsWith(open) && rest.endsWith(close)) {
        if (!inner.includes(open) && !inner.endsWith('\\')) rest = inner.trim()
      }
    }
  }
  return rest
}
