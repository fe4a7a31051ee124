import { readFileSync } from 'node:fs'
import { WorkBudget } from '../../src/verifiers/math/budget.ts'
import { gradeAnswer, MATH_DEFAULTS } from '../../src/verifiers/math/grade.ts'
import { LABELLED_SETS, type LabelledPair, labelledPairs } from '../../test/verifiers/labelled-pairs.ts'
import { gradingRow, printRows } from './rows.ts'

// The second half of compare.sh: reads what math-verify said, grades the same pairs with `math`, prints errors by kind.

interface Answered {
  id: string
  right: boolean
  ms: number
}

interface Errors {
  falseRight: number
  falseWrong: number
}

const [head, ...lines] = readFileSync(process.argv[2]!, 'utf8').trim().split('\n')
const { version } = JSON.parse(head!) as { version: string }
const theirs = new Map(lines.map((line) => JSON.parse(line) as Answered).map((row) => [row.id, row]))

function grade({ id, reference, response }: LabelledPair): Answered {
  const start = performance.now()
  const sample = { reference, completion: response }
  const { verdict } = gradeAnswer(sample, MATH_DEFAULTS, new WorkBudget())
  return { id, right: verdict === 'right', ms: performance.now() - start }
}

function count(pairs: readonly LabelledPair[], answers: ReadonlyMap<string, Answered>): Errors {
  const wrongOnes = pairs.filter((pair) => answers.get(pair.id)!.right !== (pair.verdict === 'right'))
  const falseRight = wrongOnes.filter(({ verdict }) => verdict !== 'right').length
  return { falseRight, falseWrong: wrongOnes.length - falseRight }
}

function printTable(set: string, pairs: readonly LabelledPair[], ours: ReadonlyMap<string, Answered>): void {
  const kinds = [...new Set(pairs.map(({ kind }) => kind))]
  const header = ['', 'pairs', 'math: false right', 'false wrong', 'math-verify: false right', 'false wrong']
  console.log(`\n${set}\n\n| ${header.join(' | ')} |\n|---|${'---:|'.repeat(header.length - 1)}`)
  const printLine = (name: string, chosen: readonly LabelledPair[]) => {
    const errors = [ours, theirs].map((answers) => count(chosen, answers))
    const cells = errors.flatMap(({ falseRight, falseWrong }) => [falseRight, falseWrong])
    console.log(`| ${[name, chosen.length, ...cells].join(' | ')} |`)
  }
  for (const kind of kinds) {
    printLine(
      kind,
      pairs.filter((pair) => pair.kind === kind),
    )
  }
  printLine('**all**', pairs)
}

const rows: object[] = []
for (const set of LABELLED_SETS) {
  // A policy is an option of `math` that math-verify has not.
  const pairs = labelledPairs(set).filter(({ policy }) => policy === undefined)
  pairs.slice(0, 50).forEach(grade)
  const ours = new Map(pairs.map((pair) => [pair.id, grade(pair)]))
  printTable(set, pairs, ours)
  for (const [grader, answers] of [
    ['math', ours],
    [`math-verify ${version}`, theirs],
  ] as const) {
    const times = pairs.map(({ id }) => answers.get(id)!.ms)
    const { falseRight, falseWrong } = count(pairs, answers)
    const row = gradingRow('grade_labelled_pairs', `${set}, ${pairs.length} pairs`, grader, times)
    rows.push({ ...row, false_right: falseRight, false_wrong: falseWrong })
  }
}
console.log()
printRows(rows)
