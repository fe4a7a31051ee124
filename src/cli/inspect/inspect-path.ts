import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import {
  CoppiceError,
  chatTemplateNames,
  readMetrics,
  readModelFolder,
  readSafetensorsHeader,
  type SamplingDefaults,
  Tokenizer,
} from '../../index.ts'
import { parameterCount } from '../parameter-count.ts'
import { inspectTable } from './inspect-table.ts'

export interface InspectOptions {
  /** Rows of a table to show. */
  rows: number
  /** Whether every tensor is listed. */
  tensors: boolean
}

/** What a path holds, as facts for JSON; `kind` says what it was taken for. Throws where it must not be trusted. */
export async function inspectPath(path: string, options: InspectOptions): Promise<Record<string, unknown>> {
  const entry = await stat(path)
  if (entry.isDirectory()) return inspectFolder(path, options)
  if (path.endsWith('.safetensors')) return inspectSafetensors(path, options)
  if (/\.(arrow|jsonl)$/.test(path)) return inspectTable(path, options.rows)
  if (basename(path) === 'tokenizer.json') return inspectTokenizer(dirname(path))
  throw new CoppiceError('INVALID_ARGUMENT', 'not recognised', {
    where: path,
    expected: 'a checkpoint folder, a run, .safetensors, .arrow, .jsonl or tokenizer.json',
  })
}

async function inspectFolder(path: string, options: InspectOptions): Promise<Record<string, unknown>> {
  const names = new Set(await readdir(path))
  if (names.has('config.json')) return inspectCheckpoint(path, names, options)
  if (names.has('run.json')) return inspectRun(path)
  if (names.has('tokenizer.json')) return inspectTokenizer(path)
  throw new CoppiceError('INVALID_ARGUMENT', 'not recognised', {
    where: path,
    expected: 'config.json of a checkpoint, run.json of a run, or tokenizer.json in the folder',
  })
}

async function inspectCheckpoint(
  path: string,
  names: ReadonlySet<string>,
  options: InspectOptions,
): Promise<Record<string, unknown>> {
  const { config, rawConfig, tensors, ignoredTensors, stopTokens, samplingDefaults, tokenizerPath } =
    readModelFolder(path)
  const dtypes: Record<string, number> = {}
  for (const { dtype } of tensors) dtypes[dtype] = (dtypes[dtype] ?? 0) + 1
  return {
    kind: 'checkpoint',
    path,
    model_type: rawConfig.model_type,
    parameters: parameterCount(config),
    config,
    tensors: options.tensors ? tensors.map(({ name, dtype }) => `${name} ${dtype}`) : tensors.length,
    tensors_by_dtype: dtypes,
    ignored_tensors: ignoredTensors,
    stop_tokens: stopTokens,
    ...samplingFacts(samplingDefaults),
    ...(tokenizerPath !== undefined && { tokenizer: await inspectTokenizer(path) }),
    ...(names.has('run-state.json') && {
      run_state: JSON.parse(await readFile(join(path, 'run-state.json'), 'utf8')),
    }),
  }
}

/** What generation_config.json says of sampling; nothing where it says nothing. */
function samplingFacts({ unsupported, ...defaults }: SamplingDefaults): Record<string, unknown> {
  const sampling = { ...defaults, ...(unsupported.length > 0 && { unsupported }) }
  return Object.keys(sampling).length > 0 ? { sampling } : {}
}

async function inspectRun(path: string): Promise<Record<string, unknown>> {
  const { settings, environment, ...marks } = JSON.parse(await readFile(join(path, 'run.json'), 'utf8'))
  const { regenerable, not_regenerable_because } = marks
  const metrics = await readMetrics(join(path, 'metrics.jsonl')).catch(() => [])
  const checkpoints = await readdir(join(path, 'checkpoints')).catch(() => [])
  return {
    kind: 'run',
    path,
    checkpoints: checkpoints.filter((name) => /^\d+$/.test(name)).sort((a, b) => Number(a) - Number(b)),
    steps_done: metrics.at(-1)?.step ?? 0,
    last_metrics: metrics.at(-1) ?? {},
    ...(regenerable !== undefined && { regenerable }),
    ...(not_regenerable_because !== undefined && { not_regenerable_because }),
    settings,
    environment,
  }
}

function inspectSafetensors(path: string, options: InspectOptions): Record<string, unknown> {
  const { tensors, metadata } = readSafetensorsHeader(path)
  const all = [...tensors.values()]
  const dtypes: Record<string, number> = {}
  let elements = 0
  for (const { dtype, shape } of all) {
    dtypes[dtype] = (dtypes[dtype] ?? 0) + 1
    elements += shape.reduce((size, n) => size * n, 1)
  }
  return {
    kind: 'safetensors',
    path,
    tensors: options.tensors
      ? all.map(({ name, dtype, shape }) => `${name} ${dtype} [${shape.join(', ')}]`)
      : all.length,
    tensors_by_dtype: dtypes,
    elements,
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    metadata: Object.fromEntries(metadata),
  }
}

async function inspectTokenizer(folder: string): Promise<Record<string, unknown>> {
  const path = join(folder, 'tokenizer.json')
  const tokenizer = await Tokenizer.load(folder)
  const { model } = JSON.parse(await readFile(path, 'utf8'))
  const { eosTokenId } = tokenizer
  const templates = await chatTemplateNames(folder)
  return {
    kind: 'tokenizer',
    path,
    type: model.type,
    vocab_size: tokenizer.vocabSize,
    ...(eosTokenId !== undefined && {
      eos_token_id: eosTokenId,
      eos_token: tokenizer.decodeTokens([eosTokenId])[0],
    }),
    chat_template: templates.length > 0,
    chat_templates: templates,
  }
}
