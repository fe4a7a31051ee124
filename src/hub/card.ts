import { CoppiceError } from '../errors.ts'

/** A subset ("config") of a data set, as its card describes it. */
export interface CardConfig {
  name: string
  isDefault: boolean
  /** Patterns by split; undefined where only a folder is named, or nothing. */
  patterns: ReadonlyMap<string, readonly string[]> | undefined
  folder: string | undefined
}

type Node = string | null | Node[] | Map<string, Node>

interface Line {
  indent: number
  text: string
  number: number
}

const MAX_DEPTH = 16
const MAX_LINE = 4096

/**
 * The `configs` at the head of a data set's README.md. It is YAML; of that, lists, mappings, plain and quoted scalars and flow
 * lists are read, which is what the hub's own tools write. DATA_CORRUPT names the line that is anything else.
 */
export function cardConfigs(readme: string, where: string): CardConfig[] {
  const lines = configLines(readme)
  const long = lines.find(({ text }) => text.length > MAX_LINE)
  if (long !== undefined) throw bad(where, long, `lines of at most ${MAX_LINE} characters`)
  if (lines.length === 0) return []
  const node = new BlockReader(lines, where).read()
  if (!Array.isArray(node)) throw bad(where, lines[0]!, 'a list under configs')
  return node.map((entry) => configOf(entry, where, lines[0]!))
}

function configOf(entry: Node, where: string, at: Line): CardConfig {
  if (!(entry instanceof Map)) throw bad(where, at, 'a mapping with config_name')
  const name = textOf(entry.get('config_name') ?? 'default', where, at)
  const folder = entry.get('data_dir')
  return {
    name,
    isDefault: name === 'default' || entry.get('default') === 'true',
    patterns: patternsOf(entry.get('data_files'), where, at),
    folder: folder == null ? undefined : textOf(folder, where, at).replace(/^\.?\/+|\/+$/g, ''),
  }
}

function patternsOf(node: Node | undefined, where: string, at: Line): Map<string, string[]> | undefined {
  if (node == null) return undefined
  const texts = (value: Node): string[] =>
    Array.isArray(value) ? value.map((item) => textOf(item, where, at)) : [textOf(value, where, at)]
  if (node instanceof Map) return new Map([...node].map(([split, value]) => [split, texts(value)]))
  if (!Array.isArray(node) || node.every((item) => typeof item === 'string'))
    return new Map([['train', texts(node)]])
  return new Map(
    node.map((item) => {
      const [split, path] = item instanceof Map ? [item.get('split'), item.get('path')] : []
      if (split == null || path == null) throw bad(where, at, 'data_files with split and path')
      return [textOf(split, where, at), texts(path)]
    }),
  )
}

function textOf(node: Node, where: string, at: Line): string {
  if (typeof node === 'string') return node
  throw bad(where, at, 'a text')
}

/** The lines of the block under `configs:`. */
function configLines(readme: string): Line[] {
  const all = readme.replace(/^\uFEFF/, '').split(/\r?\n/)
  if (all[0]?.trimEnd() !== '---') return []
  const lines: Line[] = []
  let isInside = false
  for (let i = 1; i < all.length && !/^(?:---|\.\.\.)\s*$/.test(all[i]!); i++) {
    const raw = all[i]!
    const text = raw.trim()
    if (text === '' || text.startsWith('#')) continue
    const indent = raw.length - raw.trimStart().length
    if (indent === 0 && !text.startsWith('- ') && text !== '-')
      isInside = /^configs\s*:\s*(?:#.*)?$/.test(text)
    else if (isInside) lines.push({ indent, text, number: i + 1 })
  }
  return lines
}

class BlockReader {
  readonly #lines: Line[]
  readonly #where: string
  #at = 0

  constructor(lines: Line[], where: string) {
    this.#lines = lines
    this.#where = where
  }

  read(): Node {
    const node = this.#node(0)
    const rest = this.#lines[this.#at]
    if (rest !== undefined) throw bad(this.#where, rest, 'the indentation of the lines above')
    return node
  }

  #node(depth: number): Node {
    const line = this.#lines[this.#at]!
    if (depth > MAX_DEPTH) throw bad(this.#where, line, `at most ${MAX_DEPTH} levels`)
    if (isItem(line)) return this.#list(line.indent, depth)
    if (keyOf(line.text) !== undefined) return this.#mapping(line.indent, depth)
    this.#at++
    return this.#value(line.text, line)
  }

  #list(indent: number, depth: number): Node[] {
    const items: Node[] = []
    for (
      let line = this.#lines[this.#at];
      line?.indent === indent && isItem(line);
      line = this.#lines[this.#at]
    ) {
      const rest = line.text.slice(1).trimStart()
      if (rest === '' || rest.startsWith('#')) {
        this.#at++
        items.push(this.#below(indent + 1, depth))
      } else {
        // What follows the dash is the first line of a block of its own.
        line.indent += line.text.length - rest.length
        line.text = rest
        items.push(this.#node(depth + 1))
      }
    }
    return items
  }

  #mapping(indent: number, depth: number): Map<string, Node> {
    const entries = new Map<string, Node>()
    for (let line = this.#lines[this.#at]; line?.indent === indent; line = this.#lines[this.#at]) {
      const key = keyOf(line.text)
      if (key === undefined) throw bad(this.#where, line, 'name: value')
      this.#at++
      const { name, rest } = key
      if (/^[|>][-+\d]*\s*(?:#.*)?$/.test(rest)) {
        // A long text, which nothing here needs.
        while ((this.#lines[this.#at]?.indent ?? -1) > indent) this.#at++
        entries.set(name, '')
      } else if (rest === '' || rest.startsWith('#')) {
        const next = this.#lines[this.#at]
        const isList = next?.indent === indent && isItem(next)
        entries.set(name, this.#below(isList ? indent : indent + 1, depth))
      } else entries.set(name, this.#value(rest, line))
    }
    return entries
  }

  /** The block that begins on the next line, if that is indented so far. */
  #below(indent: number, depth: number): Node {
    return (this.#lines[this.#at]?.indent ?? -1) >= indent ? this.#node(depth + 1) : null
  }

  #value(text: string, line: Line): Node {
    if (!text.startsWith('[')) return scalarOf(text, () => bad(this.#where, line, 'a plain or quoted text'))
    const items = /^\[(.*)\]\s*(?:#.*)?$/.exec(text)?.[1]
    if (items === undefined) throw bad(this.#where, line, 'a list on one line')
    const parts = items.match(/"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,"'[\]{}]+/g) ?? []
    const texts = parts.map((part) => part.trim()).filter((part) => part !== '')
    return texts.map((part) => scalarOf(part, () => bad(this.#where, line, 'plain or quoted texts')))
  }
}

function isItem({ text }: Line): boolean {
  return text === '-' || text.startsWith('- ')
}

function keyOf(text: string): { name: string; rest: string } | undefined {
  const match = /^(?:"([^"\\]*)"|'([^']*)'|([^\s"'[\]{}#&*!|>%@`,][^:#]*?))\s*:(?:\s+(.*))?$/.exec(text)
  if (match === null) return undefined
  return { name: (match[1] ?? match[2] ?? match[3])!, rest: match[4] ?? '' }
}

function scalarOf(text: string, refused: () => CoppiceError): string {
  const quoted = /^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*(?:#.*)?$/.exec(text)?.[1]
  if (quoted?.startsWith("'")) return quoted.slice(1, -1).replaceAll("''", "'")
  if (quoted !== undefined) {
    try {
      return JSON.parse(quoted.replaceAll("\\'", "'")) as string
    } catch {
      throw refused()
    }
  }
  if (/^[&*!|>%@`"'{}]/.test(text)) {
    // A single star begins a pattern; YAML wants quotes around it, writers forget them.
    if (!/^\*+[./]/.test(text)) throw refused()
  }
  return text.replace(/\s+#.*$/, '')
}

function bad(where: string, line: Line, expected: string): CoppiceError {
  return new CoppiceError('DATA_CORRUPT', 'the configs of the card cannot be read', {
    where: `${where}, line ${line.number}`,
    expected: `${expected}; a file may be named instead: hf://datasets/org/name/PATH`,
    received: JSON.stringify(line.text.slice(0, 80)),
  })
}
