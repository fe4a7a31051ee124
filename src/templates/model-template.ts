import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoppiceError, describeValue } from '../errors.ts'
import { nearest } from '../options.ts'
import { ChatTemplate, type SpecialTokens } from './chat-template.ts'

/** A template's source and the place that errors name. */
interface FoundTemplate {
  source: string
  where: string
}

const SPECIAL = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']

/**
 * The chat template in a model's folder, where transformers looks for it: chat_template.jinja (and others by name in
 * additional_chat_templates/), else chat_template.json, else tokenizer_config.json with one text or a list of named ones.
 * `name` picks among several; else 'tool_use' where there are tools, else 'default'.
 */
export async function readChatTemplate(
  folder: string,
  options: { name?: string; withTools?: boolean } = {},
): Promise<ChatTemplate> {
  const config = await readObject(join(folder, 'tokenizer_config.json'))
  const templates = await templatesOf(folder, config)
  const names = [...templates.keys()]
  if (names.length === 0) {
    throw new CoppiceError('INVALID_ARGUMENT', 'no chat template', {
      where: folder,
      expected: 'chat_template.jinja, or chat_template in tokenizer_config.json',
    })
  }
  const wanted = options.name ?? (options.withTools && templates.has('tool_use') ? 'tool_use' : 'default')
  const found = templates.get(wanted)
  if (found === undefined) {
    const near = nearest(wanted, names)
    throw new CoppiceError('INVALID_ARGUMENT', `no chat template of the name '${wanted}'`, {
      where: folder,
      expected: near === undefined ? `one of ${names.join(', ')}` : `did you mean '${near}'?`,
    })
  }
  return new ChatTemplate(found.source, found.where, specialTokensOf(config))
}

/** Names of the chat templates in a model's folder: none, 'default', or several. */
export async function chatTemplateNames(folder: string): Promise<string[]> {
  const config = await readObject(join(folder, 'tokenizer_config.json'))
  return [...(await templatesOf(folder, config)).keys()]
}

/** A template in a file of its own, with the special tokens of the model it is for. */
export async function readTemplateFile(path: string, modelFolder: string | undefined): Promise<ChatTemplate> {
  const source = await readText(path)
  if (source === undefined) throw new CoppiceError('INVALID_ARGUMENT', 'no such file', { where: path })
  const config =
    modelFolder === undefined ? undefined : await readObject(join(modelFolder, 'tokenizer_config.json'))
  return new ChatTemplate(source, path, specialTokensOf(config))
}

async function templatesOf(
  folder: string,
  config: Record<string, unknown> | undefined,
): Promise<Map<string, FoundTemplate>> {
  const templates = new Map<string, FoundTemplate>()
  const fromFile = async (name: string, path: string) => {
    const source = await readText(path)
    if (source !== undefined) templates.set(name, { source, where: path })
  }
  await fromFile('default', join(folder, 'chat_template.jinja'))
  const others = join(folder, 'additional_chat_templates')
  for (const file of (await readdir(others).catch(() => [])).sort()) {
    if (file.endsWith('.jinja')) await fromFile(file.slice(0, -'.jinja'.length), join(others, file))
  }
  if (templates.size > 0) return templates
  for (const [file, content] of [
    ['chat_template.json', await readObject(join(folder, 'chat_template.json'))],
    ['tokenizer_config.json', config],
  ] as const) {
    if (content?.chat_template === undefined || content.chat_template === null) continue
    return namedTemplates(content.chat_template, join(folder, file))
  }
  return templates
}

function namedTemplates(value: unknown, where: string): Map<string, FoundTemplate> {
  if (typeof value === 'string') return new Map([['default', { source: value, where }]])
  const refused = () =>
    new CoppiceError('DATA_CORRUPT', 'bad chat_template', {
      where,
      expected: "a text, or a list of objects with the texts 'name' and 'template'",
      received: describeValue(value),
    })
  if (!Array.isArray(value)) throw refused()
  return new Map(
    value.map((entry) => {
      const { name, template } = (entry ?? {}) as Record<string, unknown>
      if (typeof name !== 'string' || typeof template !== 'string') throw refused()
      return [name, { source: template, where: `${where}, chat template '${name}'` }]
    }),
  )
}

/** Named tokens that the folder's tokenizer has; each stands as its text or as an object that holds it. */
function specialTokensOf(config: Record<string, unknown> | undefined): SpecialTokens {
  const tokens: Record<string, string> = {}
  for (const name of SPECIAL) {
    const value = config?.[name]
    const text = typeof value === 'string' ? value : (value as { content?: unknown } | null)?.content
    if (typeof text === 'string') tokens[name] = text
  }
  return tokens
}

async function readObject(path: string): Promise<Record<string, unknown> | undefined> {
  const text = await readText(path)
  if (text === undefined) return undefined
  const refused = (what: string, cause?: unknown) =>
    new CoppiceError('DATA_CORRUPT', what, { where: path, cause })
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (cause) {
    throw refused(`not JSON: ${(cause as Error).message}`, cause)
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw refused('not an object')
  return content as Record<string, unknown>
}

/** Undefined where there is no such file. */
async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    const message = `cannot be read: ${(cause as Error).message}`
    throw new CoppiceError('INVALID_ARGUMENT', message, { where: path, cause })
  }
}
