import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  defaultConfig,
  getTask,
  Policy,
  type PromptRow,
  type Split,
  type Task,
  Tokenizer,
  type TrainOptions,
  type TrainStep,
  train,
  writeTokenizer,
} from '../../src/index.ts'

/** A task small enough that a random model answers some prompts. */
export const task: Task = getTask('walk', { nodes: 3 })

export function taskPrompts(split: Split, count: number): PromptRow[] {
  const tokenizer = Tokenizer.fromDefinition(task.tokenizer)
  return task.prompts(split, count, 1).map((row) => ({ ...row, promptTokens: tokenizer.encode(row.prompt) }))
}

/** A folder with a random model of grouped queries in `model`, and everything that a test writes. */
export async function makeFolder(): Promise<{ path: string; model: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'coppice-train-'))
  const tokenizer = Tokenizer.fromDefinition(task.tokenizer)
  const config = defaultConfig({
    vocabSize: tokenizer.vocabSize,
    ...{ hiddenSize: 32, numLayers: 2, numHeads: 4, numKvHeads: 2, intermediateSize: 64, maxPositions: 32 },
    eosTokenId: tokenizer.eosTokenId!,
  })
  await using policy = await Policy.init({ config, tokenizer, seed: 3, threads: 1 })
  const model = join(path, 'model')
  await policy.save(model, { alongside: (folder) => writeTokenizer(folder, task.tokenizer) })
  return { path, model, remove: () => rm(path, { recursive: true }) }
}

/** Settings under which something of everything happens in a few steps. */
export const TINY = {
  steps: 8,
  promptsPerStep: 4,
  numGenerations: 6,
  maxCompletionLength: 5,
  miniBatchRows: 8,
  learningRate: 3e-3,
  seed: 11,
} as const

export async function runToEnd(
  model: string,
  out: string,
  given: Partial<TrainOptions> & { threads?: number } = {},
): Promise<TrainStep[]> {
  const { threads = 1, ...options } = given
  await using policy = await Policy.load({ model, threads })
  const steps: TrainStep[] = []
  const run = train({
    ...TINY,
    policy,
    prompts: taskPrompts('train', 8),
    verifier: 'walk',
    objective: { kind: 'w-reinforce' },
    out,
    ...options,
  })
  for await (const step of run) steps.push(step)
  return steps
}

/** metrics.jsonl without what tells of time. */
export async function timelessMetrics(run: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(join(run, 'metrics.jsonl'), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const entries = Object.entries(JSON.parse(line) as Record<string, unknown>)
      return Object.fromEntries(entries.filter(([name]) => !name.startsWith('seconds/')))
    })
}

/** Hashes of everything in a checkpoint that decides what follows. */
export async function checkpointDigest(run: string, step: number): Promise<Record<string, string>> {
  const files = [
    'model.safetensors',
    'optimizer.safetensors',
    'run-state.json',
    'config.json',
    'tokenizer.json',
  ]
  const digests = files.map(async (name) => {
    const bytes = await readFile(join(run, 'checkpoints', String(step), name))
    return [name, createHash('sha256').update(bytes).digest('hex')] as const
  })
  return Object.fromEntries(await Promise.all(digests))
}
