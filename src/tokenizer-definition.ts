import { CoppiceError, describeValue } from './errors.ts'

/** A small closed vocabulary: everything that a tokenizer for an embedded task needs. A token's id is its place. */
export interface TokenizerDefinition {
  /** `word`: text is tokens with white space between them. `character`: text is tokens put side by side. */
  readonly level: 'word' | 'character'
  /** Words without white space, or single characters; the end token is among them. */
  readonly tokens: readonly string[]
  /** The end-of-sequence token, written only by id: decoding leaves it out with the special tokens. */
  readonly endToken?: string
}

/** A word-level vocabulary: `words`, then the end token. */
export function wordTokenizer(words: readonly string[], endToken = '<end>'): TokenizerDefinition {
  return { level: 'word', tokens: [...words, endToken], endToken }
}

/** A character-level vocabulary: every character of `characters`, then the end token. */
export function characterTokenizer(characters: string, endToken = '<end>'): TokenizerDefinition {
  return { level: 'character', tokens: [...characters, endToken], endToken }
}

/** The definition as the contents of a Hugging Face tokenizer.json. Throws INVALID_ARGUMENT on an unusable vocabulary. */
export function tokenizerJson(definition: TokenizerDefinition): Record<string, unknown> {
  checkTokenizerDefinition(definition)
  const { level, tokens, endToken } = definition
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]))
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens:
      endToken === undefined ? [] : [{ id: tokens.indexOf(endToken), content: endToken, ...plain }],
    normalizer: null,
    pre_tokenizer:
      level === 'word'
        ? { type: 'WhitespaceSplit' }
        : { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false },
    post_processor: null,
    decoder: level === 'word' ? null : { type: 'Fuse' },
    // The format wants a name for the unknown token; it is not in the vocabulary, so that unknown text is refused.
    model: { type: 'WordLevel', vocab, unk_token: '<unknown>' },
  }
}

/** The definition as the contents of a tokenizer_config.json. */
export function tokenizerConfig(definition: TokenizerDefinition): Record<string, unknown> {
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    // A Hugging Face default would otherwise pull "a , b" together as "a, b" when decoding.
    clean_up_tokenization_spaces: false,
    ...(definition.endToken === undefined ? {} : { eos_token: definition.endToken }),
  }
}

function checkTokenizerDefinition({ level, tokens, endToken }: TokenizerDefinition): void {
  const refuse = (what: string): never => {
    throw new CoppiceError('INVALID_ARGUMENT', what, { where: 'tokenizer definition' })
  }
  if (level !== 'word' && level !== 'character')
    refuse(`level ${describeValue(level)} is not word or character`)
  if (new Set(tokens).size !== tokens.length) {
    refuse(`token ${describeValue(tokens.find((token, id) => tokens.indexOf(token) !== id))} stands twice`)
  }
  for (const token of tokens) {
    if (token === '<unknown>') refuse("'<unknown>' stands for whatever is not in the vocabulary")
    if (token === '') refuse('a token is empty')
    if (token === endToken) continue
    if (level === 'word' && /\s/.test(token)) refuse(`the word ${describeValue(token)} contains white space`)
    if (level === 'character' && [...token].length !== 1)
      refuse(`${describeValue(token)} is not one character`)
  }
  if (endToken !== undefined && !tokens.includes(endToken))
    refuse(`the end token ${describeValue(endToken)} is missing`)
}
