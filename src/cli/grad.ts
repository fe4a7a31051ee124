import { CoppiceError, float32List, Policy, type RolloutBatch, readTable, tokenColumnsOf } from '../index.ts'
import { JSON_FLAG, loadOptions, MICRO_BATCH_FLAGS, MODEL_FLAGS, microBatchOptions } from './flags.ts'
import { fetchModel } from './hub-files.ts'
import { interruptible } from './interrupt.ts'
import { defineVerb } from './verb.ts'

export const gradVerb = defineVerb({
  command: 'grad',
  describe: 'gradient of -sum token_weight * log pi, as safetensors',
  flags: {
    ...MODEL_FLAGS,
    in: {
      type: 'string',
      demandOption: true,
      describe: '.jsonl or .arrow file with prompt_tokens, completion_tokens and token_weights',
    },
    out: {
      type: 'string',
      demandOption: true,
      describe: 'gradients by Hugging Face name, float32, .safetensors',
    },
    temperature: {
      type: 'number',
      describe: 'overrides the column temperature [default: the column, else 1]',
    },
    ...MICRO_BATCH_FLAGS,
    ...JSON_FLAG,
  },
  async run(args) {
    if (!args.out.endsWith('.safetensors')) {
      throw new CoppiceError('INVALID_ARGUMENT', 'the extension names no format', {
        where: args.out,
        expected: 'a file name that ends in .safetensors',
      })
    }
    const rows = await readTable(args.in)
    const weights = tokenWeightsOf(rows)
    const model = await fetchModel(args)
    await using policy = await Policy.load(loadOptions({ ...args, model }))
    return await interruptible(async (signal) => {
      const { loss } = await policy.grad(rows, weights, {
        ...(args.temperature !== undefined && { temperature: args.temperature }),
        ...microBatchOptions(args),
        signal,
      })
      await policy.saveGradients(args.out)
      console.log(args.json ? JSON.stringify({ loss }) : `${args.out}: loss ${loss}`)
    })
  },
})

/** One weight a completion token; a row's single number stands for all its tokens. */
function tokenWeightsOf(rows: RolloutBatch): Float32Array {
  const { offsets } = tokenColumnsOf(rows).completionTokens
  const type = String(rows.schema.fields.find((field) => field.name === 'token_weights')?.type)
  if (/^Float/.test(type)) {
    const numbers = rows.getChild('token_weights')
    const weights = new Float32Array(offsets.at(-1)! - offsets[0]!)
    for (let row = 0; row < rows.numRows; row++) {
      const number: unknown = numbers?.get(row)
      if (typeof number !== 'number') {
        throw new CoppiceError('INVALID_ARGUMENT', 'null where a value is needed', {
          where: `token_weights, row ${row}`,
        })
      }
      weights.fill(number, offsets[row]! - offsets[0]!, offsets[row + 1]! - offsets[0]!)
    }
    return weights
  }
  const lists = float32List(rows, 'token_weights')
  for (let row = 0; row < rows.numRows; row++) {
    const expected = offsets[row + 1]! - offsets[row]!
    const received = lists.offsets[row + 1]! - lists.offsets[row]!
    if (expected === received && lists.valid?.[row] !== 0) continue
    throw new CoppiceError('SHAPE_MISMATCH', 'one weight a completion token', {
      where: `token_weights, row ${row}`,
      expected: `a number, or ${expected} numbers`,
      received: lists.valid?.[row] === 0 ? 'null' : `${received} numbers`,
    })
  }
  return lists.values.subarray(lists.offsets[0], lists.offsets.at(-1))
}
