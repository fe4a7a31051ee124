import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { CoppiceError, describeValue, invalidArgument } from './errors.ts'
import { resolveModel } from './hub.ts'
import { refuseUnknownKeys } from './options.ts'
import { type TokenizerDefinition, tokenizerConfig, tokenizerJson } from './tokenizer-definition.ts'
import { withUnicodeFolding } from './tokenizer-patterns.ts'

const FILES = ['tokenizer.json', 'tokenizer_config.json']

type WriteFiles = (dir: string) => Promise<void>

export interface EncodeOptions {
  /** Whether the tokenizer's own template adds its tokens (a beginning-of-sequence token, say). Default true. */
  addSpecialTokens?: boolean
}

export interface DecodeOptions {
  /** Whether special tokens are left out of the text. Default false. */
  skipSpecialTokens?: boolean
}

/**
 * Text to token ids and back, as the model's tokenizer.json says. Never guesses: text that the vocabulary cannot
 * express and ids outside it are refused.
 */
export class Tokenizer {
  /** One more than the largest id, added tokens included. A model's embedding may have more rows than this. */
  readonly vocabSize: number
  /** The token that ends a completion; undefined where tokenizer_config.json names none. */
  readonly eosTokenId: number | undefined
  /** tokenizer_config.json as it was read: the chat template is here. */
  readonly config: Readonly<Record<string, unknown>>
  readonly #inner: HuggingFaceTokenizer
  readonly #special: ReadonlySet<number>
  readonly #where: string
  readonly #writeFiles: WriteFiles

  private constructor(
    inner: HuggingFaceTokenizer,
    config: Record<string, unknown>,
    where: string,
    writeFiles: WriteFiles,
  ) {
    this.#inner = inner
    const added = [...inner.get_added_tokens_decoder()]
    this.#special = new Set(added.flatMap(([id, { special }]) => (special ? [id] : [])))
    this.#where = where
    this.#writeFiles = writeFiles
    this.config = config
    let largest = -1
    for (const id of inner.get_vocab().values()) largest = Math.max(largest, id)
    this.vocabSize = largest + 1
    const eosToken = tokenContent(config.eos_token)
    this.eosTokenId = eosToken === undefined ? undefined : inner.token_to_id(eosToken)
    if (eosToken !== undefined && this.eosTokenId === undefined) {
      throw new CoppiceError(
        'DATA_CORRUPT',
        `eos_token ${describeValue(eosToken)} is not in the vocabulary`,
        { where },
      )
    }
  }

  /** Reads `tokenizer.json` and `tokenizer_config.json` from a model's folder, or of a model on the hub by its id. */
  static async load(model: string): Promise<Tokenizer> {
    const dir = await resolveModel(model, { parts: 'tokenizer' })
    const path = join(dir, 'tokenizer.json')
    const [json, config] = [await readJson(path), await readJson(join(dir, 'tokenizer_config.json'))]
    return Tokenizer.#open(json, config, path, async (to) => {
      for (const name of FILES) await copyFile(join(dir, name), join(to, name))
    })
  }

  /** The tokenizer that `writeTokenizer` would write, without a folder in between. */
  static fromDefinition(definition: TokenizerDefinition): Tokenizer {
    return Tokenizer.fromJson(tokenizerJson(definition), tokenizerConfig(definition), 'tokenizer definition')
  }

  /** The two files' parsed contents; `where` names them in errors. */
  static fromJson(json: unknown, config: unknown, where = 'tokenizer.json'): Tokenizer {
    return Tokenizer.#open(json, config, where, (to) => writeFiles(to, json, config))
  }

  static #open(json: unknown, config: unknown, where: string, write: WriteFiles): Tokenizer {
    if (!isRecord(json) || !isRecord(json.model) || !Array.isArray(json.added_tokens ?? [])) {
      throw new CoppiceError('DATA_CORRUPT', 'not a tokenizer', {
        where,
        expected: "an object with a 'model'",
      })
    }
    if (!isRecord(config))
      throw new CoppiceError('DATA_CORRUPT', 'tokenizer_config.json is not an object', { where })
    const parts = {
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: null,
      added_tokens: [],
    }
    // For a word-level model the library takes the unknown token from the config; the file's own model decides here.
    const isWordLevel = json.model.type === 'WordLevel'
    const innerConfig = isWordLevel ? { ...config, unk_token: json.model.unk_token } : config
    let inner: HuggingFaceTokenizer
    try {
      const pre_tokenizer = withUnicodeFolding(json.pre_tokenizer ?? null)
      inner = new HuggingFaceTokenizer({ ...parts, ...json, pre_tokenizer }, innerConfig)
    } catch (cause) {
      throw new CoppiceError('DATA_CORRUPT', `not a tokenizer: ${(cause as Error).message}`, { where, cause })
    }
    return new Tokenizer(inner, config, where, write)
  }

  /** Writes `tokenizer.json` and `tokenizer_config.json` into `dir` (made if absent); a loaded tokenizer's are copied. */
  async save(dir: string): Promise<void> {
    await mkdir(dir, { recursive: true })
    await this.#writeFiles(dir)
  }

  encode(text: string, options: EncodeOptions = {}): Int32Array {
    refuseUnknownKeys(options, ['addSpecialTokens'], 'encode')
    const { ids, tokens } = this.#inner.encode(text, { add_special_tokens: options.addSpecialTokens ?? true })
    const unknown = ids.indexOf(undefined as never)
    if (unknown !== -1) {
      throw new CoppiceError('INVALID_ARGUMENT', `the vocabulary lacks ${describeValue(tokens[unknown])}`, {
        where: this.#where,
      })
    }
    return Int32Array.from(ids)
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    refuseUnknownKeys(options, ['skipSpecialTokens'], 'decode')
    const list = this.#checked(ids)
    if (list.length === 0) return ''
    return this.#inner.decode(list, { skip_special_tokens: options.skipSpecialTokens ?? false })
  }

  /** The vocabulary's own spelling of every id, for people who look at token boundaries. */
  decodeTokens(ids: Iterable<number>): string[] {
    return this.#checked(ids).map((id) => this.#inner.id_to_token(id)!)
  }

  /** Whether the vocabulary, added tokens included, has this id. */
  hasToken(id: number): boolean {
    return this.#inner.id_to_token(id) !== undefined
  }

  /** Whether decoding may leave the token out: a special one, never a word of the text. */
  isSpecial(id: number): boolean {
    return this.#special.has(id)
  }

  /** The id of one token spelt as in the vocabulary, if it is there. */
  tokenId(token: string): number | undefined {
    return this.#inner.token_to_id(token)
  }

  #checked(ids: Iterable<number>): number[] {
    const list = Array.from(ids)
    for (const id of list) {
      if (this.#inner.id_to_token(id) === undefined) {
        throw invalidArgument(this.#where, `token ids of the vocabulary, 0 to ${this.vocabSize - 1}`, id)
      }
    }
    return list
  }
}

/** Writes `tokenizer.json` and `tokenizer_config.json`, readable by Hugging Face libraries, into `dir` (made if absent). */
export async function writeTokenizer(dir: string, definition: TokenizerDefinition): Promise<void> {
  await mkdir(dir, { recursive: true })
  await writeFiles(dir, tokenizerJson(definition), tokenizerConfig(definition))
}

async function writeFiles(dir: string, ...contents: [json: unknown, config: unknown]): Promise<void> {
  for (const [i, name] of FILES.entries())
    await writeFile(join(dir, name), `${JSON.stringify(contents[i], null, 2)}\n`)
}

async function readJson(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new CoppiceError('INVALID_ARGUMENT', `cannot be read: ${(cause as Error).message}`, {
      where: path,
      cause,
    })
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CoppiceError('DATA_CORRUPT', `not JSON: ${(cause as Error).message}`, { where: path, cause })
  }
}

/** A token in tokenizer_config.json is either its text or an object that holds it. */
function tokenContent(token: unknown): string | undefined {
  if (typeof token === 'string') return token
  return isRecord(token) && typeof token.content === 'string' ? token.content : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
