import { invalidArgument } from '../errors.ts'
import { requireInteger } from '../options.ts'
import { type Answer, type AnswerClasses, classifyAnswers } from './answers.ts'
import { type BootstrapOptions, bootstrapMeans, type PassAtKTable } from './bootstrap.ts'
import { powersOfTwoUpTo } from './pass-at-k-table.ts'

/**
 * Majority@k of one prompt: the chance that the commonest answer among k of its n completions is right. It is the
 * exact expectation over all C(n, k) choices of k completions and over ties, which are broken evenly (an answer tied
 * with a - 1 others wins with chance 1/a). Completions without an answer do not vote; if nobody votes it is wrong.
 *
 * Computed by summing over the winner's number of votes t and the number of answers tied at t, with the votes of each
 * answer as binomials of rate k/n conditioned on their total being k, which is the multivariate hypergeometric
 * distribution of the draw; all terms are positive, so nothing cancels (relative error about 1e-12 at n = 1,000).
 * Time at most of order n k^2, usually far less: meant for n up to a few thousand.
 *
 * @param answers one entry a completion
 * @param k 1 to the number of completions
 */
export function majorityAtK(answers: readonly Answer[], k: number): number {
  requireInteger(answers.length, 'majorityAtK answers', 1)
  requireInteger(k, 'majorityAtK k', 1, answers.length)
  return majorityOf(classifyAnswers(answers), answers.length, k)
}

/**
 * Mean majority@k over prompts with a bootstrap interval over prompts, in the shape of passAtKTable.
 *
 * @param prompts one list of answers a prompt
 * @param ks by default 1, 2, 4 ... and the smallest number of completions
 */
export function majorityAtKTable(
  prompts: readonly (readonly Answer[])[],
  ks?: readonly number[],
  options: BootstrapOptions = {},
): PassAtKTable {
  if (prompts.length === 0) throw invalidArgument('majorityAtKTable prompts', 'at least one prompt', prompts)
  const smallest = Math.min(...prompts.map((answers) => answers.length))
  const known = [...new Set(ks ?? powersOfTwoUpTo(smallest))].sort((a, b) => a - b)
  const columns = known.map((k) => prompts.map((answers) => majorityAtK(answers, k)))
  const intervals = bootstrapMeans(columns, options)
  return Object.fromEntries(known.map((k, j) => [String(k), intervals[j]!]))
}

function majorityOf({ classes }: AnswerClasses, n: number, k: number): number {
  if (k === n) return majorityOfAll(classes)
  const binomial = binomialTable(n, k / n)
  const mostVotes = Math.min(k, Math.max(0, ...classes.map((answer) => answer.count)))
  let right = 0
  for (let votes = 1; votes <= mostVotes; votes++) right += rightWinnersWith(votes)
  return Math.min(1, right / binomial(n, k))

  /** Weight of the draws that a right answer wins with exactly `votes` votes, ties shared. */
  function rightWinnersWith(votes: number): number {
    const large = classes.filter((answer) => answer.count >= votes)
    // Answers with fewer completions than `votes` can neither win nor tie: with the unanswered they are one binomial.
    const rest = large.reduce((left, answer) => left - answer.count, n)
    const ties = Math.min(large.length, Math.floor(k / votes)) + 1
    // [drawn so far x answers at `votes` so far]: weight, and weight times the number of right ones among those.
    let weight = new Float64Array((k + 1) * ties)
    let rightTied = new Float64Array((k + 1) * ties)
    for (let drawn = 0; drawn <= Math.min(k, rest); drawn++) weight[drawn * ties] = binomial(rest, drawn)
    for (const answer of large) {
      const nextWeight = new Float64Array((k + 1) * ties)
      const nextRight = new Float64Array((k + 1) * ties)
      const chances = Float64Array.from({ length: votes + 1 }, (_, s) => binomial(answer.count, s))
      for (let drawn = 0; drawn <= k; drawn++) {
        for (let tied = 0; tied < ties; tied++) {
          const w = weight[drawn * ties + tied]!
          if (w === 0) continue
          const r = rightTied[drawn * ties + tied]!
          for (let s = 0; s < votes && drawn + s <= k; s++) {
            const chance = chances[s]!
            const to = (drawn + s) * ties + tied
            nextWeight[to]! += w * chance
            nextRight[to]! += r * chance
          }
          if (drawn + votes > k || tied + 1 === ties) continue
          const chance = chances[votes]!
          const to = (drawn + votes) * ties + tied + 1
          nextWeight[to]! += w * chance
          nextRight[to]! += (answer.right ? r + w : r) * chance
        }
      }
      weight = nextWeight
      rightTied = nextRight
    }
    let total = 0
    for (let tied = 1; tied < ties; tied++) total += rightTied[k * ties + tied]! / tied
    return total
  }
}

/** There is one draw only, so its winners are known. */
function majorityOfAll(classes: AnswerClasses['classes']): number {
  const most = Math.max(0, ...classes.map((answer) => answer.count))
  const winners = classes.filter((answer) => answer.count === most)
  return winners.length === 0 ? 0 : winners.filter((answer) => answer.right).length / winners.length
}

/** Binomial probabilities C(m, s) rate^s (1 - rate)^(m - s) for m up to n. */
function binomialTable(n: number, rate: number): (m: number, s: number) => number {
  const logFactorial = new Float64Array(n + 1)
  for (let i = 2; i <= n; i++) logFactorial[i] = logFactorial[i - 1]! + Math.log(i)
  const logRate = Math.log(rate)
  const logRest = Math.log1p(-rate)
  return (m, s) => {
    if (rate === 1) return s === m ? 1 : 0
    const logChoose = logFactorial[m]! - logFactorial[s]! - logFactorial[m - s]!
    return Math.exp(logChoose + s * logRate + (m - s) * logRest)
  }
}
