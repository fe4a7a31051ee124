import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')
const SOURCE = join(ROOT, 'src')

/**
 * The house from the ground up: a file may import from its own floor and from those below. A name without a slash stands
 * for the file and for the folder of that name.
 */
const FLOORS: readonly (readonly string[])[] = [
  ['errors'],
  [
    ...[
      'options',
      'objective-options',
      'verdicts',
      'progress',
      'version',
      'replace-file',
      'load-module',
      'data-formats',
    ],
    ...['hosted-process', 'process-guard'],
  ],
  [
    'native',
    'machine',
    'environment',
    'build',
    'statistics',
    'tokenizer',
    'tokenizer-definition',
    'tokenizer-patterns',
    'templates',
    'rollouts',
    'checkpoint',
    'hub',
  ],
  ['prompts', 'presets', 'data', 'objectives', 'policy-loss', 'kernels'],
  ['policy', 'critic', 'report', 'tasks', 'verifiers', 'bench'],
  ['verify', 'plan'],
  ['judge'],
  ['evaluate', 'explain'],
  ['trainer', 'sft'],
  ['experiment'],
  ['study'],
  ['index'],
  ['cli'],
]

interface SourceFile {
  /** Relative to src/, without the extension. */
  name: string
  text: string
  imports: string[]
}

function sourceFiles(): SourceFile[] {
  const names = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => name.endsWith('.ts'))
    .map((path) => {
      const text = readFileSync(join(SOURCE, path), 'utf8')
      return { name: path.replace(/\.ts$/, ''), text, imports: importsOf(text, path) }
    })
}

function importsOf(text: string, path: string): string[] {
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g)].map(
    (match) => match[1]!,
  )
  return specifiers
    .filter((specifier) => specifier.endsWith('.ts'))
    .map((specifier) => relative(SOURCE, join(SOURCE, dirname(path), specifier)).replace(/\.ts$/, ''))
}

function floorOf(name: string): number {
  const top = name.split('/')[0]!
  return FLOORS.findIndex((floor) => floor.includes(top))
}

function upwardImports(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ name, imports }) =>
    imports
      .filter((imported) => floorOf(imported) > floorOf(name))
      .map((imported) => `${name} -> ${imported}`),
  )
}

/** A cycle as the list of its files, or undefined. */
function findCycle(files: readonly SourceFile[]): string[] | undefined {
  const byName = new Map(files.map((file) => [file.name, file]))
  const finished = new Set<string>()
  const visit = (name: string, path: string[]): string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name]
    if (finished.has(name)) return undefined
    for (const imported of byName.get(name)?.imports ?? []) {
      const cycle = visit(imported, [...path, name])
      if (cycle !== undefined) return cycle
    }
    finished.add(name)
    return undefined
  }
  for (const { name } of files) {
    const cycle = visit(name, [])
    if (cycle !== undefined) return cycle
  }
  return undefined
}

const importing = (name: string, ...imports: string[]): SourceFile => ({ name, text: '', imports })

describe('architecture of src/', () => {
  const files = sourceFiles()

  it('has a floor for every file', () => {
    const homeless = files.filter(({ name }) => floorOf(name) === -1).map(({ name }) => name)
    assert.deepEqual(homeless, [], 'name these in FLOORS, where they belong')
  })

  it('imports only what exists', () => {
    const names = new Set(files.map(({ name }) => name))
    const missing = files.flatMap(({ name, imports }) =>
      imports.filter((imported) => !names.has(imported)).map((imported) => `${name} -> ${imported}`),
    )
    assert.deepEqual(missing, [])
  })

  it('has no upward import', () => {
    assert.deepEqual(upwardImports(files), [])
    assert.deepEqual(upwardImports([importing('policy', 'trainer'), importing('trainer', 'policy')]), [
      'policy -> trainer',
    ])
  })

  it('has no import cycle', () => {
    assert.equal(findCycle(files), undefined)
    const cycle = findCycle([importing('a', 'b'), importing('b', 'c'), importing('c', 'b')])
    assert.deepEqual(cycle, ['b', 'c', 'b'])
  })

  it('loads the addon in native.ts alone', () => {
    const loaders = files.filter(({ text }) => /\.node['"`]|process\.dlopen/.test(text))
    assert.deepEqual(
      loaders.map(({ name }) => name).filter((name) => name !== 'native' && !name.startsWith('native/')),
      [],
    )
  })

  it('gives cli/ and examples/ nothing but index.ts', () => {
    const cli = files.filter(({ name }) => name.startsWith('cli/'))
    const inner = cli.flatMap(({ name, imports }) =>
      imports
        .filter((imported) => imported !== 'index' && !imported.startsWith('cli/'))
        .map((imported) => `${name} -> ${imported}`),
    )
    assert.deepEqual(inner, [])
    const examples = join(ROOT, 'examples')
    for (const name of readdirSync(examples).filter((file) => /\.[mc]?[jt]s$/.test(file))) {
      const text = readFileSync(join(examples, name), 'utf8')
      const specifiers = [...text.matchAll(/from\s+['"]([^'"]+)['"]/g)].map((match) => match[1]!)
      for (const specifier of specifiers) {
        assert.match(
          specifier,
          /^(node:.*|coppice|\.\.\/(src|dist)\/index\.[tj]s|apache-arrow)$/,
          `${name} imports ${specifier}`,
        )
      }
    }
  })
})
