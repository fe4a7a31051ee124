// Formats the native sources with clang-format (.clang-format). `--check` changes nothing and fails where it would.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { giveUp, has, root, run, say } from './console.mjs'

if (!has('clang-format'))
  giveUp('clang-format is missing: pip install clang-format==19.1.7, or your package manager')

const sources = (folder) =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return sources(path)
    return /\.(cpp|h|cu|cuh)$/.test(entry.name) ? [path] : []
  })

const files = ['native', 'kernels', 'test/native', 'bench/native'].flatMap(sources)
run('clang-format', [...(process.argv.includes('--check') ? ['--dry-run', '-Werror'] : ['-i']), ...files], {
  what: 'clang-format',
})
say(`${files.length} native files in form`)
