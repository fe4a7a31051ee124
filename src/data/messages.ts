import type { JsonRow, RowFault } from './read-row.ts'

/** One turn of a chat in a prompt. A type and not an interface: templates take it among messages with any fields. */
export type PromptMessage = { role: string; content: string }

/**
 * A column's value as chat messages: a list of `{ role, content }`, or the JSON text of one. `content` is a text or a list
 * of parts of which the texts are taken. Messages behind the last one of the user are the answer, not the prompt, and are
 * left out. Undefined where the value is no list at all.
 */
export function messagesOf(value: unknown): { messages: PromptMessage[] } | { fault: RowFault } | undefined {
  const list = typeof value === 'string' ? parsedList(value) : value
  if (!Array.isArray(list)) return undefined
  const messages: PromptMessage[] = []
  for (const [i, item] of list.entries()) {
    const message = messageOf(item)
    if (message === undefined) {
      return {
        fault: { reason: `message ${i} is none`, expected: 'an object with the texts role and content' },
      }
    }
    messages.push(message)
  }
  const last = messages.findLastIndex(({ role }) => role === 'user')
  if (last === -1)
    return { fault: { reason: 'no message of the user', expected: "a message with the role 'user'" } }
  return { messages: messages.slice(0, last + 1) }
}

/** The text that stands for a chat where no template renders it: what the user says, joined by blank lines. */
export function userText(messages: readonly PromptMessage[]): string {
  return messages.flatMap(({ role, content }) => (role === 'user' ? [content] : [])).join('\n\n')
}

function parsedList(text: string): unknown {
  if (!text.trimStart().startsWith('[')) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function messageOf(value: unknown): PromptMessage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { role, content } = value as JsonRow
  if (typeof role !== 'string') return undefined
  if (typeof content === 'string') return { role, content }
  if (!Array.isArray(content)) return undefined
  const texts = content.map((part) => (typeof part === 'object' ? (part as JsonRow | null)?.text : part))
  return texts.every((text) => typeof text === 'string') ? { role, content: texts.join('') } : undefined
}
