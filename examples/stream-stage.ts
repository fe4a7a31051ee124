// Sampling and grading as stages of a Node stream pipeline: prompts in, graded completions out as JSON lines, with the
// stream's own back-pressure holding generation when the reader is slow.
//   node --import tsx examples/stream-stage.ts
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  createVerifierPool,
  defaultConfig,
  getTask,
  judge,
  Policy,
  type RolloutBatch,
  Tokenizer,
  textColumn,
} from '../src/index.ts'

const task = getTask('walk', { nodes: 3 })
const tokenizer = Tokenizer.fromDefinition(task.tokenizer)
const prompts = task
  .prompts('train', 6, 1)
  .map((row) => ({ ...row, promptTokens: tokenizer.encode(row.prompt) }))
const config = defaultConfig({
  vocabSize: tokenizer.vocabSize,
  ...{ hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64 },
  maxPositions: task.maxPromptLength + task.maxCompletionLength,
  eosTokenId: tokenizer.eosTokenId!,
})
await using policy = await Policy.init({ config, tokenizer, seed: 1 })
await using pool = await createVerifierPool(task.verifier)

const grade = new Transform({
  objectMode: true,
  async transform(group: RolloutBatch, _encoding, done) {
    const judged = await judge(group, pool)
    const [ids, completions, verdicts] = ['prompt_id', 'completion', 'verdict'].map((name) =>
      textColumn(judged, name),
    )
    done(
      null,
      completions!.map((completion, row) => ({ prompt_id: ids![row], completion, verdict: verdicts![row] })),
    )
  },
})
const toLines = new Transform({
  writableObjectMode: true,
  transform(rows: object[], _encoding, done) {
    done(null, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  },
})
const groups = policy.generate(prompts, { numGenerations: 2, maxCompletionLength: task.maxCompletionLength })
await pipeline(Readable.from(groups), grade, toLines, process.stdout, { end: false })
