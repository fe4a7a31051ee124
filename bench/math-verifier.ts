import { readFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { WorkBudget } from '../src/verifiers/math/budget.ts'
import { mathVerifier } from '../src/verifiers/math/grade.ts'
import { readAnswer } from '../src/verifiers/math/reading/read-answer.ts'
import { Algebra } from '../src/verifiers/math/values/algebra.ts'

// Milliseconds a pair and answers a second of the mathematics verifier, on the tuning pairs: node --import tsx bench/math-verifier.ts

interface Pair {
  kind: string
  reference: string
  response: string
}

const ROUNDS = 5
const file = new URL('../test/verifiers/math/tuning.jsonl', import.meta.url)
const pairs = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Pair)
const verify = mathVerifier()
const grade = ({ reference, response }: Pair) => verify({ reference, completion: response })

/** Whether exact algebra alone decides: nothing in the reference is opaque to it. */
function isExact({ reference }: Pair): boolean {
  const answer = readAnswer(reference, new WorkBudget())
  if (answer.kind !== 'value') return !['expression', 'equation', 'inequality'].includes(answer.kind)
  const algebra = new Algebra(new WorkBudget())
  try {
    algebra.fraction(answer.node)
  } catch {
    return false
  }
  return algebra.isComplete
}

function report(name: string, chosen: readonly Pair[]): void {
  const times = chosen
    .map((pair) => {
      const start = performance.now()
      for (let round = 0; round < ROUNDS; round++) grade(pair)
      return (performance.now() - start) / ROUNDS
    })
    .sort((a, b) => a - b)
  const at = (share: number) => times[Math.floor(share * (times.length - 1))]!.toFixed(3)
  const total = times.reduce((sum, time) => sum + time, 0)
  const row = {
    pairs: name,
    count: times.length,
    p20_ms: at(0.2),
    p50_ms: at(0.5),
    p80_ms: at(0.8),
    max_ms: at(1),
  }
  console.log(JSON.stringify({ ...row, answers_per_second: Math.round((1000 * times.length) / total) }))
}

for (let round = 0; round < 3; round++) pairs.forEach(grade)
console.log(
  JSON.stringify({ machine: cpus()[0]?.model, cores: availableParallelism(), node: process.version }),
)
report('all', pairs)
report('exact', pairs.filter(isExact))
