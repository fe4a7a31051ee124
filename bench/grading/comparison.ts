import { readFileSync } from 'node:fs'
import type { Verdict } from '../../src/index.ts'
import { mathVerifier } from '../../src/verifiers/math/grade.ts'
import { verifyLoosely } from '../../src/verifiers/math/loose.ts'
import { LABELLED_SETS, type LabelledPair, labelledPairs } from '../../test/verifiers/labelled-pairs.ts'
import { gradingRow, printRows } from './rows.ts'

// The second half of compare.sh: reads what math-verify said, grades the same pairs with `math` and its loose policy, prints errors
// by kind. Ends with 1 where `math` makes more errors than math-verify on any kind, or is wrongly right on more than 1 %.

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

type Grader = (sample: { reference: string; completion: string }) => { verdict: Verdict }

const careful = mathVerifier()

function gradeWith(grader: Grader, pairs: readonly LabelledPair[]): Map<string, Answered> {
  const grade = ({ id, reference, response }: LabelledPair): Answered => {
    const start = performance.now()
    const { verdict } = grader({ reference, completion: response })
    return { id, right: verdict === 'right', ms: performance.now() - start }
  }
  pairs.slice(0, 50).forEach(grade)
  return new Map(pairs.map((pair) => [pair.id, grade(pair)]))
}

function count(pairs: readonly LabelledPair[], answers: ReadonlyMap<string, Answered>): Errors {
  const wrongOnes = pairs.filter((pair) => answers.get(pair.id)!.right !== (pair.verdict === 'right'))
  const falseRight = wrongOnes.filter(({ verdict }) => verdict !== 'right').length
  return { falseRight, falseWrong: wrongOnes.length - falseRight }
}

interface Contender {
  name: string
  answers: ReadonlyMap<string, Answered>
}

/** Prints a line a kind, and says on which kinds the first contender makes more errors than the second. */
function compare(set: string, pairs: readonly LabelledPair[], contenders: readonly Contender[]): string[] {
  const header = ['', 'pairs', ...contenders.flatMap(({ name }) => [`${name}: false right`, 'false wrong'])]
  console.log(`\n${set}\n\n| ${header.join(' | ')} |\n|---|${'---:|'.repeat(header.length - 1)}`)
  const errorsOn = (name: string, chosen: readonly LabelledPair[]) => {
    const errors = contenders.map(({ answers }) => count(chosen, answers))
    const cells = errors.flatMap(({ falseRight, falseWrong }) => [falseRight, falseWrong])
    console.log(`| ${[name, chosen.length, ...cells].join(' | ')} |`)
    return errors.map(({ falseRight, falseWrong }) => falseRight + falseWrong)
  }
  const worse = [...new Set(pairs.map(({ kind }) => kind))].filter((kind) => {
    const chosen = pairs.filter((pair) => pair.kind === kind)
    const [ours, theirs] = errorsOn(kind, chosen)
    return ours! > theirs!
  })
  errorsOn('**all**', pairs)
  return worse.map((kind) => `${set}, ${kind}: more errors than math-verify`)
}

const rows: object[] = []
const faults: string[] = []
for (const set of LABELLED_SETS) {
  // A policy is an option of `math` that math-verify has not.
  const pairs = labelledPairs(set).filter(({ policy }) => policy === undefined)
  const contenders: Contender[] = [
    { name: 'math', answers: gradeWith(careful, pairs) },
    { name: `math-verify ${version}`, answers: theirs },
    { name: 'math:policy=loose', answers: gradeWith(verifyLoosely, pairs) },
  ]
  faults.push(...compare(set, pairs, contenders))
  for (const { name, answers } of contenders) {
    const times = pairs.map(({ id }) => answers.get(id)!.ms)
    const { falseRight, falseWrong } = count(pairs, answers)
    const row = gradingRow('grade_labelled_pairs', `${set}, ${pairs.length} pairs`, name, times)
    rows.push({ ...row, false_right: falseRight, false_wrong: falseWrong })
    if (name === 'math' && falseRight > 0.01 * pairs.length) {
      faults.push(`${set}: ${falseRight} of ${pairs.length} wrongly right`)
    }
  }
}
console.log()
printRows(rows)
if (faults.length > 0) {
  console.error(faults.join('\n'))
  process.exitCode = 1
}
