// Reinforcement learning with verifiable rewards in one file: a small policy learns a task that checks itself.
//   node --import tsx examples/train.ts [FOLDER]
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  defaultConfig,
  demonstrationBatches,
  evaluate,
  getTask,
  Policy,
  sft,
  Tokenizer,
  train,
} from '../src/index.ts'

const out = process.argv[2] ?? mkdtempSync(join(tmpdir(), 'coppice-example-'))
const task = getTask('walk', { nodes: 4 })
const tokenizer = Tokenizer.fromDefinition(task.tokenizer)
const tokenized = (split: 'train' | 'heldout', count: number) =>
  task.prompts(split, count, 1).map((row) => ({ ...row, promptTokens: tokenizer.encode(row.prompt) }))

const config = defaultConfig({
  vocabSize: tokenizer.vocabSize,
  ...{ hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64 },
  maxPositions: task.maxPromptLength + task.maxCompletionLength,
  eosTokenId: tokenizer.eosTokenId!,
})
await using policy = await Policy.init({ config, tokenizer, seed: 1 })

// The base policy: maximum likelihood of demonstrations, some of them careless.
const batches = demonstrationBatches(task, 64, 1)
for await (const { step, metrics } of sft({ policy, batches, steps: 200, learningRate: 5e-3 })) {
  if (step % 50 === 0) console.log(`sft ${step}: loss ${metrics.loss?.toFixed(3)}`)
}

// Negative sample reinforcement: learn from the wrong answers only.
const steps = train({
  policy,
  prompts: tokenized('train', 32),
  verifier: task.verifier,
  objective: { kind: 'nsr' },
  ...{ out, steps: 20, promptsPerStep: 16, numGenerations: 8, miniBatchRows: 64, learningRate: 5e-4 },
  maxCompletionLength: task.maxCompletionLength,
})
for await (const { step, metrics } of steps) {
  if (step % 5 === 0)
    console.log(`train ${step}: reward ${metrics.reward?.toFixed(3)}, entropy ${metrics.entropy?.toFixed(3)}`)
}

const { passAtK } = await evaluate({
  policy,
  prompts: tokenized('heldout', 16),
  verifier: task.verifier,
  n: 32,
  maxCompletionLength: task.maxCompletionLength,
})
for (const [k, { mean, low, high }] of Object.entries(passAtK)) {
  console.log(`pass@${k} ${mean.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`)
}
console.log(`the run is in ${out}`)
