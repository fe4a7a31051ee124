// Builds of engine_bench to compare: this tree's bench sources against the library of any commit, so that both sides do the
// same work. Nothing is written into the repository: a commit is unpacked into a folder of its own.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { availableParallelism, homedir } from 'node:os'
import { join } from 'node:path'
import { elapsed, has, root, say } from '../console.mjs'

/** A comparison that cannot be made; scripts say so and exit with 3. */
export class NotComparable extends Error {}

const BENCH = 'bench/native/engine'
/** What a commit's library is built from. */
const LIBRARY_PATHS = ['CMakeLists.txt', 'package.json', 'native', 'kernels']

function git(...args) {
  const result = spawnSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28 })
  return result.status === 0 ? result.stdout.trim() : undefined
}

/** What a change is compared with: the last commit while native/ is being edited, else the one before it. */
export function defaultBase() {
  return git('status', '--porcelain', '--', ...LIBRARY_PATHS) ? 'HEAD' : 'HEAD^'
}

/** A commit's full name; NotComparable where the repository, or what was cloned of it, does not hold it. */
export function resolveCommit(name) {
  const commit = git('rev-parse', '--verify', '--quiet', `${name}^{commit}`)
  if (commit) return commit
  throw new NotComparable(`there is no commit ${name} here (no repository, or a shallow clone)`)
}

export function shortName(commit) {
  return git('log', '-1', '--format=%h %s', commit) ?? commit
}

/**
 * Builds engine_bench in `folder`, which must not be there yet.
 * @param {string | undefined} commit a full commit name, or undefined for the working tree as it stands
 * @returns {string} the executable
 * @throws NotComparable where that commit's library cannot be built or has another interface
 */
export function buildEngineBench(commit, folder) {
  const start = performance.now()
  const what = commit === undefined ? 'the working tree' : shortName(commit)
  say(`building ${what} (some minutes where the compiler's cache is empty)`)
  mkdirSync(folder, { recursive: true })
  const source = join(folder, 'source')
  mkdirSync(source)
  if (commit === undefined) copyTree(source)
  else unpack(commit, source)
  const build = join(folder, 'build')
  // make would start one for every file.
  const jobs = String(availableParallelism())
  const env = { ...process.env, CCACHE_BASEDIR: source, CCACHE_NOHASHDIR: '1', CCACHE_DIR: compilerCache() }
  const launcher = has('ccache') ? ['-DCMAKE_CXX_COMPILER_LAUNCHER=ccache'] : []
  const options = ['-DCMAKE_BUILD_TYPE=Release', '-DCOPPICE_TESTS=OFF', '-DCOPPICE_CUDA=OFF', ...launcher]
  requireBuilt(attempt('cmake', ['-S', source, '-B', build, ...options], env), what)
  requireBuilt(
    attempt('cmake', ['--build', build, '--target', 'coppice_native', '--parallel', jobs], env),
    what,
  )

  // The library's interface may have moved since: then the commit's own bench does, where its workloads are the same.
  const executable = join(folder, 'engine_bench')
  const benches = [join(root, BENCH), join(source, BENCH)]
  const failures = []
  for (const bench of benches) {
    const failure = link(bench, source, build, executable, env)
    if (failure === undefined) {
      say(`built in ${elapsed(start)}`)
      return executable
    }
    failures.push(failure)
  }
  throw new NotComparable(
    `${what}: its library has another interface than this tree's bench expects\n${failures[0]}`,
  )
}

/** Where .ci/run keeps the compiler's cache, too. */
function compilerCache() {
  const { CCACHE_DIR, COPPICE_CACHE, XDG_CACHE_HOME = join(homedir(), '.cache') } = process.env
  return CCACHE_DIR ?? join(COPPICE_CACHE ?? join(XDG_CACHE_HOME, 'coppice'), 'ccache')
}

/** The working tree, as a commit would be unpacked: the compiler's cache then knows both by the same paths. */
function copyTree(folder) {
  for (const path of LIBRARY_PATHS) {
    if (existsSync(join(root, path))) cpSync(join(root, path), join(folder, path), { recursive: true })
  }
}

function unpack(commit, folder) {
  const paths = [...LIBRARY_PATHS, BENCH].filter((path) => git('cat-file', '-t', `${commit}:${path}`))
  const command = 'commit=$1 folder=$2; shift 2; git archive "$commit" -- "$@" | tar -x -C "$folder"'
  const result = spawnSync(
    'bash',
    ['-c', `set -o pipefail; ${command}`, 'unpack', commit, folder, ...paths],
    {
      cwd: root,
      encoding: 'utf8',
    },
  )
  requireBuilt(result.status === 0 ? undefined : result.stderr, commit)
}

function link(bench, source, build, executable, env) {
  const compiler = process.env.CXX ?? 'c++'
  let files
  try {
    files = readdirSync(bench).filter((name) => name.endsWith('.cpp'))
  } catch {
    return `${bench}: not there`
  }
  return attempt(
    compiler,
    [
      ...['-std=c++20', '-O2', `-I${join(source, 'native')}`, ...files.map((name) => join(bench, name))],
      ...[join(build, 'libcoppice_native.a'), '-pthread', '-o', executable],
    ],
    env,
  )
}

/** What the command said when it failed, or undefined. */
function attempt(command, args, env) {
  const result = spawnSync(command, args, { env, encoding: 'utf8', maxBuffer: 2 ** 28 })
  if (result.status === 0) return undefined
  const said = result.error?.message ?? `${result.stdout}${result.stderr}`.trim()
  return said.split('\n').slice(-12).join('\n') || `${command} failed`
}

function requireBuilt(failure, what) {
  if (failure !== undefined) throw new NotComparable(`${what} cannot be built here\n${failure}`)
}

/** Sizes of an executable's workloads by name. */
export function workloadSizes(executable) {
  const result = spawnSync(executable, ['--list'], { encoding: 'utf8' })
  if (result.status !== 0)
    throw new NotComparable(`${executable} does not say what it does: ${result.stderr}`)
  return Object.fromEntries(
    result.stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t')),
  )
}

/** The names that mean the same work in both; NotComparable where there are none. */
export function commonWorkloads(wanted, a, b) {
  const [sizesA, sizesB] = [workloadSizes(a), workloadSizes(b)]
  const common = wanted.filter((name) => sizesA[name] !== undefined && sizesA[name] === sizesB[name])
  if (common.length === 0) throw new NotComparable('the two have no workload of the same sizes')
  for (const name of wanted) {
    if (!common.includes(name)) say(`NOT COMPARED: ${name} is not the same work in both`)
  }
  return common
}
