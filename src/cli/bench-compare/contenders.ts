import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chooseNamed } from '../bench/choose-named.ts'
import type { CompareKind } from './cases.ts'

/** A way to run a contender that may make it faster: threads and environment. */
export interface Setting {
  name: string
  /** Instead of those of the case. */
  threads?: number
  env?: Readonly<Record<string, string>>
  /** A library to load before all others; without it the setting is not tried. */
  library?: string
}

export interface Contender {
  name: string
  /** The program in bench/contenders. */
  program: string
  /** Ways to do the work, each a line of the table. */
  variants: Readonly<Partial<Record<CompareKind, readonly string[]>>>
  /**
   * The best of each list is found by a short probe before a case, the lists one after the other; the first of a list
   * changes nothing.
   */
  settings: readonly (readonly Setting[])[]
  /** The Python that its packages are in. */
  python: (given: string | undefined) => string
}

const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'coppice')

/** `--python`, else the environment of test/oracle where there is one, else what the PATH has. */
function pytorchPython(given: string | undefined): string {
  const oracle = join(process.env.COPPICE_ORACLE_CACHE ?? join(CACHE, 'oracle'), 'venv/bin/python')
  return given ?? (existsSync(oracle) ? oracle : 'python3')
}

/** What bench/contenders/prepare-llama-cpp.sh made. */
function llamaPython(): string {
  const made = join(CACHE, 'contenders/llama-cpp/venv/bin/python')
  return existsSync(made) ? made : 'python3'
}

const AS_IT_IS: Setting = { name: 'as it is' }
const BOUND: Setting = { name: 'bound', env: { OMP_PROC_BIND: 'close', OMP_PLACES: 'cores' } }
const ONE_THREAD: Setting = { name: '1 thread', threads: 1 }
const LLVM_OPENMP: Setting = {
  name: 'libomp',
  library: 'libomp.so.5',
  env: { KMP_AFFINITY: 'granularity=fine,compact,1,0', KMP_BLOCKTIME: '1' },
}
const ALLOCATORS: readonly Setting[] = [
  AS_IT_IS,
  { name: 'jemalloc', library: 'libjemalloc.so.2' },
  { name: 'tcmalloc', library: 'libtcmalloc_minimal.so.4' },
]
const PYTORCH_SETTINGS = [[AS_IT_IS, BOUND, LLVM_OPENMP, ONE_THREAD], ALLOCATORS]

const coreType = (name: string): Setting => ({ name, env: { OPENBLAS_CORETYPE: name } })

const LLAMA_SETTINGS: Contender['settings'] = [
  [
    AS_IT_IS,
    { name: 'flash attention', env: { LLAMA_FLASH_ATTENTION: '1' } },
    { name: 'no flash attention', env: { LLAMA_FLASH_ATTENTION: '0' } },
  ],
  [AS_IT_IS, { name: 'unified cache', env: { LLAMA_UNIFIED_CACHE: '1' } }],
  [AS_IT_IS, ONE_THREAD],
]

const CONTENDERS: readonly Contender[] = [
  {
    ...{ name: 'pytorch', program: 'pytorch.py', python: pytorchPython, settings: PYTORCH_SETTINGS },
    variants: {
      op: ['eager'],
      head: ['all rows', '256 rows at a time'],
      step: ['eager', 'compiled'],
      generate: ['eager', 'compiled'],
    },
  },
  {
    ...{ name: 'transformers', program: 'hf_transformers.py', python: pytorchPython },
    ...{ variants: { generate: ['static cache', 'static cache, compiled'] }, settings: PYTORCH_SETTINGS },
  },
  {
    ...{ name: 'onednn', program: 'onednn.py', python: pytorchPython },
    ...{ variants: { op: ['matmul', 'inner product'] }, settings: [[AS_IT_IS, BOUND, ONE_THREAD]] },
  },
  {
    ...{ name: 'openblas', program: 'openblas.py', python: pytorchPython, variants: { op: ['sgemm'] } },
    settings: [
      [AS_IT_IS, ONE_THREAD],
      [AS_IT_IS, coreType('Haswell'), coreType('SkylakeX'), coreType('Cooperlake')],
    ],
  },
  {
    ...{ name: 'llama.cpp', program: 'llama_decode.py', python: llamaPython },
    ...{ variants: { generate: ['batched'] }, settings: LLAMA_SETTINGS },
  },
]

export const PROGRAMS = fileURLToPath(new URL('../../../bench/contenders/', import.meta.url))

export function chooseContenders(names: readonly string[] | undefined): readonly Contender[] {
  return chooseNamed(CONTENDERS, names, 'contender', '--contenders')
}

/** Two settings at once. */
export function bothSettings(first: Setting, second: Setting): Setting {
  if (second === AS_IT_IS) return first
  if (first === AS_IT_IS) return second
  const libraries = [first.library, second.library].filter((library) => library !== undefined)
  return {
    name: `${first.name}, ${second.name}`,
    ...{ env: { ...first.env, ...second.env } },
    ...(libraries.length > 0 && { library: libraries.join(delimiter) }),
    ...(first.threads !== undefined && { threads: first.threads }),
    ...(second.threads !== undefined && { threads: second.threads }),
  }
}

const LIBRARY_FOLDERS = [
  ...['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib', '/usr/local/lib'],
]

/** The environment of a setting, or undefined where a library of it is not on this machine. */
export function environmentOf(
  setting: Setting,
  threads: number,
): Readonly<Record<string, string>> | undefined {
  const paths = (setting.library?.split(delimiter) ?? []).map((library) =>
    LIBRARY_FOLDERS.map((folder) => join(folder, library)).find((path) => existsSync(path)),
  )
  if (paths.includes(undefined)) return undefined
  return {
    ...{ OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads) },
    OPENBLAS_NUM_THREADS: String(threads),
    TORCHINDUCTOR_CACHE_DIR: join(CACHE, 'contenders/torchinductor'),
    PYTHONDONTWRITEBYTECODE: '1',
    ...setting.env,
    ...(paths.length > 0 && { LD_PRELOAD: paths.join(' ') }),
  }
}
