// The package as a user gets it: packed, checked by publint and are-the-types-wrong, installed with scripts disabled into an
// empty project, built there by `npx coppice build`, and used from ESM, from require and in a worker.
//   node scripts/check-package.mjs [--keep]
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { elapsed, giveUp, root, say } from './console.mjs'

const folder = mkdtempSync(join(tmpdir(), 'coppice-package-'))
const keep = process.argv.includes('--keep')
process.on('exit', () => keep || rmSync(folder, { recursive: true, force: true }))

function step(name, command, args, cwd) {
  const start = performance.now()
  const result = spawnSync(command, args, { cwd, encoding: 'utf8', env: process.env })
  if (result.status !== 0)
    giveUp(`${name} failed\n${result.stdout ?? ''}${result.stderr ?? result.error?.message ?? ''}`)
  say(`ok: ${name} (${elapsed(start)})`)
  return result.stdout
}

step('compile', process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], root)
step('pack', 'npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], root)
const tarball = join(
  folder,
  readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? giveUp('npm pack left no tarball'),
)
step('publint', process.execPath, ['node_modules/publint/src/cli.js', tarball, '--strict'], root)
// The package is ESM alone: require() loads it too from Node 20.19 on, which older resolution modes cannot know.
step(
  'are the types wrong',
  process.execPath,
  ['node_modules/@arethetypeswrong/cli/dist/index.js', tarball, '--profile', 'esm-only'],
  root,
)

writeFileSync(
  join(folder, 'package.json'),
  JSON.stringify({ name: 'empty', private: true, version: '0.0.0' }),
)
step(
  'install without scripts',
  'npm',
  ['install', '--ignore-scripts', '--no-audit', '--no-fund', tarball],
  folder,
)
step('npx coppice build', 'npx', ['--no-install', 'coppice', 'build'], folder)
step('npx coppice doctor', 'npx', ['--no-install', 'coppice', 'doctor', '--json'], folder)

const readme = readFileSync(join(root, 'README.md'), 'utf8')
const block = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? giveUp('README.md has no TypeScript block')
writeFileSync(join(folder, 'readme.mts'), block)
step("README's example", 'npx', ['--no-install', 'tsx', 'readme.mts'], folder)
cpSync(join(root, 'examples/stream-stage.mjs'), join(folder, 'stream-stage.mjs'))

const use = `
  const value = coppice.passAtK(4, 2, 1)
  if (value !== 0.5) throw new Error('passAtK gave ' + value)
  coppice.kernels.matmul
`
writeFileSync(join(folder, 'esm.mjs'), `import * as coppice from 'coppice'\n${use}`)
writeFileSync(join(folder, 'required.cjs'), `const coppice = require('coppice')\n${use}`)
writeFileSync(
  join(folder, 'worker.mjs'),
  `import { Worker } from 'node:worker_threads'
new Worker(new URL('./stream-stage.mjs', import.meta.url)).on('error', (error) => { throw error })
  .on('exit', (code) => process.exit(code))`,
)
step('from ESM', process.execPath, ['esm.mjs'], folder)
step('from require', process.execPath, ['required.cjs'], folder)
step('in a worker', process.execPath, ['worker.mjs'], folder)
step('npx coppice experiment', 'npx', ['--no-install', 'coppice', 'experiment', '--smoke'], folder)
// Where Python or a compiler is missing the table says so; that its own programs were packed must be seen here.
const product = ['--cases', 'op/linear-1x1024x256', '--rounds', '1', '--seconds', '0']
const compare = ['coppice', 'bench', 'op', '--compare', '--contenders', 'openblas', ...product]
const table = step('npx coppice bench --compare', 'npx', ['--no-install', ...compare], folder)
if (table.includes("can't open file") || table.includes('openblas_gemm.cpp')) giveUp(table)
say('the package works as installed')
