// `npm test`: sets up what is missing, then checks types and style and runs the native and the TypeScript tests.
//   node scripts/test.mjs [--only native|types|ts] [TEST FILES ...]
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { elapsed, root, say } from './console.mjs'
import { setUp } from './setup.mjs'

const args = process.argv.slice(2)
const onlyAt = args.indexOf('--only')
const only = onlyAt < 0 ? undefined : args.splice(onlyAt, 2)[1]
const files = args

function testFiles(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`
      if (entry.isDirectory()) return entry.name === 'fixtures' ? [] : testFiles(path)
      return entry.name.endsWith('.test.ts') ? [path] : []
    })
    .sort()
}

const steps = []
const step = (kind, name, command, commandArgs) => {
  if (only === undefined ? files.length === 0 || kind === 'ts' : only === kind)
    steps.push({ name, command, commandArgs })
}

step('types', 'types', process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'])
step('types', 'style', process.execPath, ['node_modules/@biomejs/biome/bin/biome', 'check', '.'])
step('native', 'native ops', 'build/op_test', [])
step('native', 'CUDA kernels run on the host: ops', 'build/cuda_on_host_op_test', [
  '--backend',
  'cuda:2',
  '--small',
])
step('native', 'CUDA kernels run on the host: engine', 'build/cuda_on_host_engine_test', [])
step('native', 'CUDA kernels run on the host: exact on-policy', 'build/cuda_on_host_exact_on_policy_test', [
  '--device',
  'cuda,cuda:1,cuda:2',
  '--small',
  '--tokens',
  '150',
])
step('native', 'CUDA kernels run on the host: memory', 'build/cuda_on_host_memory_test', ['cuda:1'])
step('native', 'exact on-policy', 'build/exact_on_policy_test', [])
step('native', 'memory', 'build/memory_test', [])
step('native', 'top log-probs', 'build/top_log_probs_test', [])
step('ts', 'TypeScript', process.execPath, [
  '--import',
  'tsx',
  '--test',
  '--test-concurrency=2',
  ...(files.length > 0 ? files : testFiles('test')),
])

setUp({ tests: files.length === 0 && only !== 'types' })
const failed = []
for (const { name, command, commandArgs } of steps) {
  const start = performance.now()
  const result = spawnSync(command, commandArgs, { cwd: root, stdio: 'inherit' })
  say(`${result.status === 0 ? 'ok' : 'FAILED'}: ${name} (${elapsed(start)})`)
  if (result.status !== 0) failed.push(name)
}
if (failed.length > 0) {
  say(`failed: ${failed.join(', ')}`)
  process.exit(1)
}
