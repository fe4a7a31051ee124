// The training example in plain JavaScript: no loader, no `await using`; the policy is disposed in `finally`.
//   node examples/train.mjs
import { createVerifierPool, defaultConfig, getTask, judge, Policy, Tokenizer } from 'coppice'

const task = getTask('walk', { nodes: 3 })
const tokenizer = Tokenizer.fromDefinition(task.tokenizer)
const prompts = task
  .prompts('train', 8, 1)
  .map((row) => ({ ...row, promptTokens: tokenizer.encode(row.prompt) }))
const config = defaultConfig({
  vocabSize: tokenizer.vocabSize,
  ...{ hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64 },
  maxPositions: task.maxPromptLength + task.maxCompletionLength,
  eosTokenId: tokenizer.eosTokenId,
})

const policy = await Policy.init({ config, tokenizer, seed: 1 })
try {
  // The stages by hand: sample, check, update. `train` does the same with checkpoints and metrics.
  const pool = await createVerifierPool(({ completion }) => (completion.startsWith('1') ? 'right' : 'wrong'))
  try {
    for (let step = 1; step <= 20; step++) {
      const rollouts = await policy.generateAll(prompts, { numGenerations: 8, maxCompletionLength: 4, step })
      const judged = await judge(rollouts, pool)
      const { skipped, metrics } = await policy.update(judged, {
        objective: { kind: 'w-reinforce', lambda: 0.1 },
        learningRate: 3e-3,
      })
      if (step % 5 === 0)
        console.log(`step ${step}: reward ${metrics.reward.toFixed(3)}${skipped ? ` (${skipped})` : ''}`)
    }
  } finally {
    await pool.dispose()
  }
} finally {
  await policy.dispose()
}
