import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  type ExpectedScores,
  fixturePath,
  GRADIENT_FIXTURES,
  maxDifference,
  readFloats,
  readJson,
  readRows,
  relativeDifference,
} from './fixtures.ts'

// The verbs `score` and `grad` over files, against the same float64 numbers as the library.
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const run = promisify(execFile)

async function coppice(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, ['--import', 'tsx', MAIN, ...args])
  return stdout
}

interface ScoredRow {
  prompt_tokens: number[]
  completion_tokens: number[]
  scored_logprobs: number[]
  entropies: number[]
}

for (const name of GRADIENT_FIXTURES) {
  test(`coppice score and coppice grad agree with float64: ${name}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'coppice-'))
    try {
      const input = fixturePath(name, 'rollouts.jsonl')
      const expected = readJson<ExpectedScores>(fixturePath(name, 'expected.json'))

      const scored = join(folder, 'scored.jsonl')
      await coppice('score', '--model', fixturePath(name), '--in', input, '--out', scored)
      const rows = readRows<ScoredRow>(scored)
      const tokens = (row: ScoredRow) => [row.prompt_tokens, row.completion_tokens]
      assert.deepEqual(
        rows.map(tokens),
        readRows<ScoredRow>(input).map(tokens),
        'the rows pass through in order',
      )
      for (const [column, values] of [
        ['scored_logprobs', expected.logprobs],
        ['entropies', expected.entropies],
      ] as const) {
        const difference = maxDifference(
          rows.flatMap((row) => row[column]),
          values,
        )
        assert.ok(difference <= 3e-5, `${column} differ by ${difference}`)
      }

      const out = join(folder, 'gradients.safetensors')
      const { loss } = JSON.parse(
        await coppice('grad', '--model', fixturePath(name), '--in', input, '--out', out, '--json'),
      )
      assert.ok(
        Math.abs(loss - expected.loss) <= 1e-5 * Math.abs(expected.loss),
        `loss ${loss}, not ${expected.loss}`,
      )
      const gradients = readFloats(out)
      const reference = readFloats(fixturePath(name, 'gradients.safetensors'))
      assert.deepEqual([...gradients.keys()].sort(), [...reference.keys()].sort())
      for (const [tensor, values] of reference) {
        const difference = relativeDifference(gradients.get(tensor)!, values)
        assert.ok(difference <= 1e-4, `gradient of ${tensor} differs by ${difference}`)
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
}
