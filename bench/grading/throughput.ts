import type { Sample } from '../../src/index.ts'
import { verifyAll } from '../../src/index.ts'
import { WorkBudget } from '../../src/verifiers/math/budget.ts'
import { gradeAnswer, MATH_DEFAULTS } from '../../src/verifiers/math/grade.ts'
import { type LabelledPair, labelledPairs } from '../../test/verifiers/labelled-pairs.ts'
import { gradingRow, printRows } from './rows.ts'

// What the verifier `math` takes on the tuning pairs: milliseconds a pair, by what decided it, and answers a second through
// `verifyAll`, as `verify` and `train` use it. node --import tsx bench/grading/throughput.ts [--save FILE]

const ROUNDS = 5
const SUSTAINED_MS = 20_000

const pairs = labelledPairs('tuning')
const sampleOf = ({ id, reference, response }: LabelledPair): Sample => ({
  promptId: id,
  prompt: '',
  reference,
  completion: response,
  promptTokens: new Int32Array(0),
  completionTokens: new Int32Array(0),
  finishReason: 'stop',
})
const samples = pairs.map(sampleOf)

function grade(sample: Sample): WorkBudget {
  const budget = new WorkBudget()
  gradeAnswer(sample, MATH_DEFAULTS, budget)
  return budget
}

function timesOf(chosen: readonly Sample[]): number[] {
  return chosen.map((sample) => {
    const start = performance.now()
    for (let round = 0; round < ROUNDS; round++) grade(sample)
    return (performance.now() - start) / ROUNDS
  })
}

for (let round = 0; round < 3; round++) samples.forEach(grade)
const kinds = {
  'all pairs': samples,
  'decided exactly': samples.filter((sample) => grade(sample).evaluations === 0),
  'decided at points': samples.filter((sample) => grade(sample).evaluations > 0),
}
const rows = Object.entries(kinds).map(([name, chosen]) =>
  gradingRow('grade_answer', `${name}, ${chosen.length} of tuning`, 'math', timesOf(chosen)),
)

const start = performance.now()
const cpuBefore = process.cpuUsage()
const batches: number[] = []
for (let now = start; now - start < SUSTAINED_MS; ) {
  await verifyAll(samples, 'math')
  const end = performance.now()
  batches.push(end - now)
  now = end
}
const seconds = (performance.now() - start) / 1000
const { user, system } = process.cpuUsage(cpuBefore)
const sustained = gradingRow('verify_all', `batches of ${samples.length}`, 'math', batches)
const answers = batches.length * samples.length
// The second figure tells what other processes took away from the first.
const rates = {
  answers_per_second: Math.round(answers / seconds),
  answers_per_cpu_second: Math.round((1e6 * answers) / (user + system)),
}
printRows([...rows, { ...sustained, ...rates }])
