import { appendColumns, Policy, type RolloutBatch, readTable, tokenColumnsOf, writeTable } from '../index.ts'
import { JSON_FLAG, loadOptions, MODEL_FLAGS, TOKEN_BUDGET_FLAG } from './flags.ts'
import { fetchModel } from './hub-files.ts'
import { interruptible } from './interrupt.ts'
import { requireTablePath } from './table-path.ts'
import { defineVerb } from './verb.ts'

export const scoreVerb = defineVerb({
  command: 'score',
  describe: 'rollouts -> log-probs and entropies under a model',
  flags: {
    ...MODEL_FLAGS,
    in: {
      type: 'string',
      demandOption: true,
      describe: '.jsonl or .arrow file with prompt_tokens and completion_tokens',
    },
    out: { type: 'string', demandOption: true, describe: 'the same rows with the new columns' },
    temperature: {
      type: 'number',
      describe: 'overrides the column temperature [default: the column, else 1]',
    },
    reference: {
      type: 'boolean',
      default: false,
      describe: 'the model is the reference policy: add ref_logprobs, not scored_logprobs and entropies',
    },
    ...TOKEN_BUDGET_FLAG,
    ...JSON_FLAG,
  },
  async run(args) {
    requireTablePath(args.out)
    const rows = await readTable(args.in)
    const model = await fetchModel(args)
    await using policy = await Policy.load(loadOptions({ ...args, model }))
    return await interruptible(async (signal) => {
      const { logprobs, entropies } = await policy.score(rows, {
        ...(args.temperature !== undefined && { temperature: args.temperature }),
        entropies: !args.reference,
        tokenBudget: args.tokenBudget,
        signal,
      })
      const list = (values: Float32Array) => ({ values, offsets: offsetsOf(rows) })
      const scored = args.reference
        ? { ref_logprobs: list(logprobs) }
        : { scored_logprobs: list(logprobs), entropies: list(entropies) }
      await writeTable(args.out, [appendColumns(rows, scored)])
      const gap = largestGap(rows, logprobs)
      const mean = logprobs.reduce((sum, value) => sum + value, 0) / logprobs.length
      const result = { out: args.out, rows: rows.numRows, tokens: logprobs.length, mean_logprob: mean }
      if (args.json)
        console.log(JSON.stringify({ ...result, ...(gap !== undefined && { max_difference: gap }) }))
      else {
        const recorded = gap === undefined ? '' : `, largest difference from the recorded log-probs ${gap}`
        console.log(`${args.out}: ${result.tokens} tokens, mean log-prob ${mean.toFixed(4)}${recorded}`)
      }
    })
  },
})

function offsetsOf(rows: RolloutBatch): Int32Array {
  const { offsets } = tokenColumnsOf(rows).completionTokens
  return offsets.map((offset) => offset - offsets[0]!)
}

/** How far the log-probs lie from those recorded when the tokens were sampled; undefined when none were. */
function largestGap(rows: RolloutBatch, logprobs: Float32Array): number | undefined {
  const recorded = tokenColumnsOf(rows).logprobs
  if (recorded === undefined) return undefined
  let largest = 0
  for (let t = 0; t < logprobs.length; t++) {
    largest = Math.max(largest, Math.abs(logprobs[t]! - recorded.values[recorded.offsets[0]! + t]!))
  }
  return largest
}
