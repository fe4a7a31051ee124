import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import {
  type AddonStatus,
  addonStatus,
  hubSettings,
  Kernels,
  machineMemory,
  rasterise,
  version,
} from '../index.ts'
import { EXIT_DONE, EXIT_FAILED } from './exit-codes.ts'
import { JSON_FLAG } from './flags.ts'
import { formatBytes, textTable } from './table.ts'
import { defineVerb } from './verb.ts'

/** One thing that coppice can use. */
interface Finding {
  what: string
  /** `missing`: nothing works without it; `absent`: one can do without. */
  state: 'ok' | 'absent' | 'missing'
  found: string
  /** What to do about it, where there is something to do. */
  remedy?: string
}

export const doctorVerb = defineVerb({
  command: 'doctor',
  describe: 'what this machine can do, and what to do about what is missing',
  flags: { ...JSON_FLAG },
  async run(args) {
    const addon = addonStatus()
    const findings = [
      nodeFinding(),
      addonFinding(addon),
      ...toolFindings(addon.usable),
      ...machineFindings(addon),
      ...(await cudaFindings(addon)),
      await fontsFinding(),
      hubFinding(),
    ]
    const able = findings.every(({ state }) => state !== 'missing')
    if (args.json) console.log(JSON.stringify({ able, version, findings }))
    else {
      console.log(`coppice ${version}`)
      console.log(
        textTable(
          findings.map(({ what, state, found }) => [what, MARKS[state], found]),
          'left',
        ),
      )
      for (const { what, remedy } of findings) if (remedy !== undefined) console.log(`- ${what}: ${remedy}`)
    }
    return able ? EXIT_DONE : EXIT_FAILED
  },
})

const MARKS = { ok: 'ok', absent: '-', missing: 'MISSING' }

function nodeFinding(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const recent = major > 20 || (major === 20 && minor >= 19)
  const finding: Finding = { what: 'Node.js', state: recent ? 'ok' : 'missing', found: process.version }
  return recent ? finding : { ...finding, remedy: 'install Node.js 20.19 or newer' }
}

function addonFinding(addon: AddonStatus): Finding {
  if (addon.usable) return { what: 'native addon', state: 'ok', found: `${addon.version}, ${addon.path}` }
  return { what: 'native addon', state: 'missing', found: addon.problem, remedy: 'npx coppice build' }
}

/** What `coppice build` needs; no fault where the addon is there already. */
function toolFindings(built: boolean): Finding[] {
  const state = built ? 'absent' : 'missing'
  const compiler = versionLine(process.env.CXX ?? 'c++', ['--version'])
  const cmake = versionLine('cmake', ['--version'])
  const make = versionLine('ninja', ['--version']) ?? versionLine('make', ['--version'])
  const finding = (what: string, found: string | undefined, remedy: string): Finding =>
    found === undefined ? { what, state, found: 'not found', remedy } : { what, state: 'ok', found }
  return [
    finding(
      'C++ compiler',
      compiler,
      'install one that knows C++20 (Debian: apt-get install g++; macOS: xcode-select --install)',
    ),
    finding('CMake', cmake, 'install CMake 3.25 or newer (Debian: apt-get install cmake)'),
    finding('make or ninja', make, 'install make (Debian: apt-get install make)'),
  ]
}

function versionLine(command: string, args: string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', timeout: 10_000 })
  return status === 0 ? stdout.split('\n')[0]!.trim() : undefined
}

function machineFindings(addon: AddonStatus): Finding[] {
  const processor = cpus()[0]?.model.trim() || process.arch
  const cores = addon.usable ? addon.cores : availableParallelism()
  const sets = addon.usable ? addon.instructionSets : instructionSetsOfSystem()
  const { totalBytes, freeBytes, isLimited } = machineMemory()
  const memory = `${formatBytes(totalBytes)}${isLimited ? ' (limit of this container)' : ''}`
  const findings: Finding[] = [
    { what: 'processor', state: 'ok', found: `${processor}, ${cores} cores for this process` },
    { what: 'instruction sets', state: 'ok', found: sets.join(', ') || 'portable' },
    { what: 'memory', state: 'ok', found: `${memory}, ${formatBytes(freeBytes)} free` },
  ]
  if (addon.usable && !addon.externalBuffers) {
    findings.push({
      what: 'shared memory with Arrow',
      state: 'absent',
      found: 'this runtime forbids it; rollouts are copied once',
    })
  }
  return findings
}

/** The same words as the addon's, from what the system tells: a guess until the addon is there. */
function instructionSetsOfSystem(): string[] {
  if (process.arch === 'arm64') return ['neon', 'portable']
  const text = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : ''
  const flags = /^flags\s*:\s*(.*)$/m.exec(text)?.[1]?.split(' ') ?? []
  const known = [
    ['avx512bf16', ['avx512f', 'avx512bw', 'avx512dq', 'avx512vl', 'avx512_bf16']],
    ['avx512', ['avx512f', 'avx512bw', 'avx512dq', 'avx512vl']],
    ['avx2', ['avx2', 'fma']],
  ] as const
  return [
    ...known.filter(([, needed]) => needed.every((flag) => flags.includes(flag))).map(([name]) => name),
    'portable',
  ]
}

async function cudaFindings(addon: AddonStatus): Promise<Finding[]> {
  const home = process.env.CUDA_HOME ?? process.env.CUDA_PATH ?? '/usr/local/cuda'
  const nvcc = versionOfNvcc('nvcc') ?? versionOfNvcc(join(home, 'bin', 'nvcc'))
  const gpu = versionLine('nvidia-smi', ['--query-gpu=name,memory.total', '--format=csv,noheader'])
  const built = addon.usable && addon.cuda
  return [
    { what: 'NVIDIA GPU', state: gpu === undefined ? 'absent' : 'ok', found: gpu ?? 'none found' },
    {
      what: 'CUDA in the addon',
      state: built ? 'ok' : 'absent',
      found: built ? 'yes' : `no; nvcc: ${nvcc ?? 'not found'}`,
      ...(gpu !== undefined &&
        !built && { remedy: 'install the CUDA toolkit, then npx coppice build --clean' }),
    },
    ...(built ? [await cudaDeviceFinding(() => Kernels.open({ device: 'cuda' }))] : []),
  ]
}

/** Whether `--device cuda` would work: what opening the device says. */
export async function cudaDeviceFinding(
  open: () => Promise<{ dispose(): Promise<void> | void }>,
): Promise<Finding> {
  const what = '--device cuda'
  try {
    await (await open()).dispose()
    return { what, state: 'ok', found: 'opens' }
  } catch (error) {
    return { what, state: 'absent', found: error instanceof Error ? error.message : String(error) }
  }
}

function versionOfNvcc(path: string): string | undefined {
  const { status, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 10_000 })
  return status === 0 ? (/release [\d.]+/.exec(stdout)?.[0] ?? path) : undefined
}

async function fontsFinding(): Promise<Finding> {
  const probe = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>'
  const { hasText } = await rasterise(probe).catch(() => ({ hasText: false }))
  if (hasText) return { what: 'PNG charts', state: 'ok', found: 'rasteriser and fonts found' }
  return {
    what: 'PNG charts',
    state: 'absent',
    found: 'no font for their text; HTML and SVG need none',
    remedy: 'install a font (Debian: apt-get install fonts-dejavu-core)',
  }
}

function hubFinding(): Finding {
  const what = 'Hugging Face hub'
  try {
    const { endpoint, cacheFolder, offline, token } = hubSettings()
    const parts = [
      offline ? 'offline' : endpoint,
      `cache ${cacheFolder}${existsSync(cacheFolder) ? '' : ' (not there yet)'}`,
      token === undefined ? 'no token' : `token from ${token.source}`,
    ]
    return { what, state: 'ok', found: parts.join(', ') }
  } catch (error) {
    return { what, state: 'absent', found: (error as Error).message, remedy: 'mend the environment variable' }
  }
}
