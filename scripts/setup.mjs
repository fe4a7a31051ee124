// Brings a fresh clone to where everything runs: dependencies, compilers, the native addon. Each part is skipped when it is up
// to date, so calling this again costs a fraction of a second.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { elapsed, giveUp, has, root, run, say } from './console.mjs'

const minimumNode = [20, 19]

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > minimumNode[0] || (major === minimumNode[0] && minor >= minimumNode[1])) return
  giveUp(`coppice needs Node ${minimumNode.join('.')} or newer; this is ${process.version}`)
}

/** A stamp file says from what a thing was made; it is made again when that changed. */
function fresh(stamp, digest) {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === digest
}

function digestOf(paths) {
  const hash = createHash('sha256')
  const add = (path) => {
    if (!existsSync(path)) return
    if (statSync(path).isDirectory()) {
      for (const name of readdirSync(path).sort()) add(join(path, name))
    } else {
      hash.update(path.slice(root.length)).update('\0').update(readFileSync(path))
    }
  }
  for (const path of paths) add(join(root, path))
  return hash.digest('hex')
}

function installDependencies() {
  const stamp = join(root, 'node_modules/.coppice-lock')
  const digest = digestOf(['package-lock.json'])
  if (fresh(stamp, digest)) return
  const start = performance.now()
  say('installing dependencies')
  // Nothing depends on an install script, so none is run.
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { quiet: true })
  writeFileSync(stamp, digest)
  say(`dependencies installed in ${elapsed(start)}`)
}

function installCompilers() {
  const missing = [
    ['c++', 'g++'],
    ['cmake', 'cmake'],
    ['make', 'make'],
  ].filter(([command]) => !has(command))
  if (missing.length === 0) return
  const packages = missing.map(([, name]) => name)
  const debian = existsSync('/etc/debian_version') && has('apt-get')
  const root = process.getuid?.() === 0
  if (!debian || !root) {
    giveUp(
      `coppice builds its engine from source and needs: ${packages.join(', ')}. ` +
        (debian
          ? `Install with: sudo apt-get install ${packages.join(' ')}`
          : 'Install them with your package manager.'),
    )
  }
  say(`installing missing build tools with apt-get: ${packages.join(', ')}`)
  run('apt-get', ['update', '-qq'], { quiet: true })
  run('apt-get', ['install', '-y', '-qq', ...packages], {
    quiet: true,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
}

const addonInputs = ['CMakeLists.txt', 'package.json', 'native', 'kernels']
const stamps = {
  addon: { file: join(root, 'build/.coppice-addon'), inputs: addonInputs },
  tests: {
    file: join(root, 'build/.coppice-tests'),
    inputs: [...addonInputs, 'test/native', 'bench/native'],
  },
}

/** Builds the addon and, with `tests`, the native test and bench executables into build/. */
function buildNative(tests) {
  const { file, inputs } = tests ? stamps.tests : stamps.addon
  if (fresh(file, digestOf(inputs))) return
  const start = performance.now()
  say(
    tests ? 'building the native tests' : 'building the native engine (about two minutes on two cores, once)',
  )
  const options = [`--CDCOPPICE_TESTS=${tests ? 'ON' : 'OFF'}`, '--CDCMAKE_BUILD_TYPE=Release']
  const cmake = join(root, 'node_modules/cmake-js/bin/cmake-js')
  run(process.execPath, [cmake, 'configure', '--log-level', 'error', ...options], {
    quiet: true,
    what: 'configuring the native build',
  })
  run('cmake', ['--build', 'build', '--config', 'Release', '--parallel'], {
    quiet: true,
    what: 'building the native engine',
  })
  // The tests' build holds the addon, too.
  for (const stamp of tests ? [stamps.addon, stamps.tests] : [stamps.addon]) {
    writeFileSync(stamp.file, digestOf(stamp.inputs))
  }
  say(`built in ${elapsed(start)}`)
}

export function setUp({ tests = false } = {}) {
  requireNode()
  installDependencies()
  installCompilers()
  buildNative(tests)
}

if (process.argv[1] === new URL(import.meta.url).pathname) setUp({ tests: process.argv.includes('--tests') })
