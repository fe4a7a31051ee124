// A stage of a Node stream pipeline in plain JavaScript: log-probs and entropies of rollouts that pass through.
//   node examples/stream-stage.mjs
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { defaultConfig, getTask, Policy, Tokenizer } from 'coppice'

const task = getTask('walk', { nodes: 3 })
const tokenizer = Tokenizer.fromDefinition(task.tokenizer)
const prompts = task
  .prompts('train', 4, 1)
  .map((row) => ({ ...row, promptTokens: tokenizer.encode(row.prompt) }))
const config = defaultConfig({
  vocabSize: tokenizer.vocabSize,
  ...{ hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64 },
  maxPositions: task.maxPromptLength + task.maxCompletionLength,
  eosTokenId: tokenizer.eosTokenId,
})

const policy = await Policy.init({ config, tokenizer, seed: 1 })
try {
  async function* scored(groups) {
    for await (const group of groups) {
      const { logprobs, entropies } = await policy.score(group)
      const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
      yield `${group.numRows} completions: mean log-prob ${mean(logprobs).toFixed(3)}, entropy ${mean(entropies).toFixed(3)}\n`
    }
  }
  const groups = policy.generate(prompts, { numGenerations: 4, maxCompletionLength: 4 })
  await pipeline(Readable.from(groups), scored, process.stdout, { end: false })
} finally {
  await policy.dispose()
}
