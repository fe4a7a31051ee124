import { encodePrompt, type PromptTemplate, Tokenizer } from '../../index.ts'

interface PromptToken {
  id: number
  /** As the vocabulary spells it: a byte-level one writes Ġ for a space. */
  token: string
  /** The token alone, decoded; bytes that are no character of their own show as U+FFFD. */
  text: string
  special: boolean
}

/** A prompt as the model would read it: the rendered text and its tokens, one by one. */
export async function inspectPrompt(
  folder: string,
  prompt: string,
  template: PromptTemplate,
): Promise<{ kind: string; template: string; text: string; length: number; tokens: PromptToken[] }> {
  const tokenizer = await Tokenizer.load(folder)
  const ids = Array.from(encodePrompt(tokenizer, template, prompt))
  const spellings = tokenizer.decodeTokens(ids)
  return {
    kind: 'prompt',
    template: template.name,
    text: template.render(prompt),
    length: ids.length,
    tokens: ids.map((id, i) => ({
      id,
      token: spellings[i]!,
      text: tokenizer.decode([id]),
      special: tokenizer.isSpecial(id),
    })),
  }
}

/** One line a token: place, id, text in quotes, and whether it is special. */
export function promptRows(tokens: readonly PromptToken[]): string[][] {
  return [
    ['place', 'id', 'text', ''],
    ...tokens.map(({ id, text, token, special }, place) => [
      String(place),
      String(id),
      text.includes('\ufffd') ? `bytes ${JSON.stringify(token)}` : JSON.stringify(text),
      special ? 'special' : '',
    ]),
  ]
}
