import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { CoppiceError } from './errors.ts'
import { builtAddonPath } from './native.ts'
import { refuseUnknownKeys, requireInteger } from './options.ts'

const require = createRequire(import.meta.url)

export interface BuildOptions {
  /** Files compiled at a time. Default: the cores that this process may use. */
  jobs?: number
  /** Builds everything anew. Default false. */
  clean?: boolean
  /**
   * `cmake` builds for the CPU and, where nvcc is found, for CUDA; `gyp` for the CPU alone and without CMake. Default: cmake
   * where CMake is installed.
   */
  tool?: 'cmake' | 'gyp'
}

/** A command of this Node, to be run in the package's folder. */
export interface BuildCommand {
  tool: 'cmake' | 'gyp'
  args: readonly string[]
}

/**
 * Builds the native addon from source and returns its path. DEVICE_UNAVAILABLE says in one line what to install where
 * something is missing.
 */
export async function buildAddon(options: BuildOptions = {}): Promise<string> {
  refuseUnknownKeys(options, ['jobs', 'clean', 'tool'], 'buildAddon')
  const path = builtAddonPath()
  const root = dirname(dirname(dirname(path)))
  for (const { tool, args } of buildCommands(options, toolsOfMachine())) await run(root, tool, args)
  if (!existsSync(path)) throw new CoppiceError('INTERNAL', 'the build made no addon', { expected: path })
  return path
}

/** What the choice of a build depends on. */
export interface BuildTools {
  compiler: boolean
  cmake: boolean
  make: boolean
  python: boolean
  /** Scripts of the two build tools. */
  cmakeJs: string | undefined
  nodeGyp: string | undefined
  /** The folder whose include/node has this Node's headers, where they are installed with it. */
  nodeDir: string | undefined
}

/** The commands of a build, in order; refuses with what to install when it cannot be. */
export function buildCommands(options: BuildOptions, tools: BuildTools): BuildCommand[] {
  const jobs = String(requireInteger(options.jobs ?? availableParallelism(), 'buildAddon.jobs', 1))
  const clean = options.clean ?? false
  const missing: string[] = []
  if (!tools.compiler) missing.push('a C++20 compiler (Debian: g++, macOS: xcode-select --install)')
  if (!tools.make) missing.push('make')
  const tool = options.tool ?? (tools.cmake || tools.nodeGyp === undefined || !tools.python ? 'cmake' : 'gyp')
  if (tool === 'cmake') {
    if (!tools.cmake) missing.push('CMake 3.22 or newer')
    if (tools.cmakeJs === undefined) missing.push('cmake-js (npm install)')
    if (missing.length > 0) throw cannotBuild(missing)
    const common = [
      '--log-level',
      'warn',
      '--CDCMAKE_BUILD_TYPE=Release',
      '--CDCOPPICE_TESTS=OFF',
      '--parallel',
      jobs,
    ]
    // A configured folder is not configured again by `compile`: sources that were added would not be seen.
    return [
      { tool, args: [tools.cmakeJs!, clean ? 'reconfigure' : 'configure', ...common] },
      { tool, args: [tools.cmakeJs!, 'build', ...common] },
    ]
  }
  if (tools.nodeGyp === undefined) missing.push('node-gyp (npm install node-gyp)')
  if (!tools.python) missing.push('Python 3, which node-gyp needs')
  if (missing.length > 0) throw cannotBuild(missing)
  const nodeDir = tools.nodeDir === undefined ? [] : [`--nodedir=${tools.nodeDir}`]
  const common = ['--loglevel', 'warn', '--jobs', jobs, ...nodeDir]
  return [
    { tool, args: [tools.nodeGyp!, clean ? 'rebuild' : 'configure', ...common] },
    ...(clean ? [] : [{ tool, args: [tools.nodeGyp!, 'build', ...common] } as const]),
  ]
}

function cannotBuild(missing: readonly string[]): CoppiceError {
  return new CoppiceError(
    'DEVICE_UNAVAILABLE',
    `the addon cannot be built: install ${missing.join(', and ')}`,
  )
}

function toolsOfMachine(): BuildTools {
  const compilers = process.env.CXX === undefined ? ['c++', 'g++', 'clang++'] : [process.env.CXX]
  const prefix = dirname(dirname(process.execPath))
  return {
    compiler: compilers.some(runs) || (process.platform === 'win32' && runs('cl')),
    cmake: runs('cmake'),
    make: runs('make') || runs('ninja'),
    python: [process.env.PYTHON, 'python3', 'python'].some((python) => python !== undefined && runs(python)),
    cmakeJs: resolved('cmake-js/package.json', 'bin/cmake-js'),
    nodeGyp: nodeGypScript(prefix),
    nodeDir: existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? prefix : undefined,
  }
}

/** node-gyp as a package, as npm names the one that it brings, or where npm is installed beside this Node. */
function nodeGypScript(prefix: string): string | undefined {
  const besideNode = join(
    prefix,
    'lib',
    'node_modules',
    'npm',
    'node_modules',
    'node-gyp',
    'bin',
    'node-gyp.js',
  )
  const candidates = [
    resolved('node-gyp/package.json', 'bin/node-gyp.js'),
    process.env.npm_config_node_gyp,
    besideNode,
  ]
  return candidates.find((path) => path !== undefined && existsSync(path))
}

function resolved(packageJson: string, script: string): string | undefined {
  try {
    return join(dirname(require.resolve(packageJson)), script)
  } catch {
    return undefined
  }
}

function runs(command: string): boolean {
  const { error, status } = spawnSync(command, ['--version'], { stdio: 'ignore', timeout: 30_000 })
  return error === undefined && status === 0
}

function run(directory: string, tool: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: directory, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (code === 0) resolve()
      else {
        reject(
          new CoppiceError(
            'DEVICE_UNAVAILABLE',
            `the build by ${tool} failed (${signal ?? `exit ${code}`})`,
            {
              expected: 'what the lines above name; `coppice doctor` tells which tools are there',
            },
          ),
        )
      }
    })
  })
}
