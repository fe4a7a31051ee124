import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CoppiceError, invalidArgument } from './errors.ts'

const MODULE_FILE = /\.[cm]?[jt]s$/

/** Where this very file runs as TypeScript, whatever loaded it loads others too. */
const isTypeScriptLoaded = import.meta.url.endsWith('.ts')

/** Whether a name that a user gave means a module's file rather than something that coppice brings along. */
export function isModuleFile(name: string): boolean {
  return MODULE_FILE.test(name) || name.includes('/') || name.includes('\\')
}

/** The absolute path of an existing module file; INVALID_ARGUMENT where it is missing or of another kind. */
export async function requireModuleFile(file: string): Promise<string> {
  const path = resolve(file)
  if (!MODULE_FILE.test(path))
    throw invalidArgument(file, 'a file that ends in .ts, .mts, .js, .mjs or .cjs', path)
  const entry = await stat(path).catch(() => undefined)
  if (entry?.isFile() !== true) throw new CoppiceError('INVALID_ARGUMENT', 'no such file', { where: path })
  return path
}

/** The default export of a JavaScript or TypeScript module; whatever the module throws while loading is thrown on. */
export async function importDefault(path: string): Promise<unknown> {
  const url = pathToFileURL(path).href
  const exports = await (/ts$/.test(path) && !isTypeScriptLoaded ? importTypeScript(url) : import(url))
  // A TypeScript file outside a folder of "type": "module" is compiled to CommonJS: its exports are the default then.
  const outer = exports.default
  return outer?.__esModule === true ? outer.default : outer
}

async function importTypeScript(
  url: string,
): Promise<{ default?: { default?: unknown; __esModule?: boolean } }> {
  const { tsImport } = await import('tsx/esm/api')
  return tsImport(url, import.meta.url)
}
