import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { environment } from '../environment.ts'
import { evaluate } from '../evaluate.ts'
import { basePolicy } from '../experiment/base-policy.ts'
import type { PromptSetSettings } from '../experiment/settings.ts'
import { promptSet } from '../experiment/workspace.ts'
import type { ObjectiveSpec } from '../objective-options.ts'
import { type BackendOptions, Policy } from '../policy.ts'
import type { PromptRow } from '../prompts.ts'
import { loadTask } from '../tasks/index.ts'
import type { Split, Task } from '../tasks/task.ts'
import { Tokenizer } from '../tokenizer.ts'
import { readMetrics, type TrainStep, train } from '../trainer.ts'
import {
  hasRecord,
  type SetRecord,
  type StudyRecord,
  setRecord,
  thinnedSeries,
  writeRecord,
} from './record.ts'
import type { RunIdentity, StudyRun } from './settings.ts'

export interface RunPlace {
  /** Where base policies and runs under way are kept. */
  work: string
  /** Where the records of finished runs stand. */
  records: string
  backend: BackendOptions
}

export interface Workbench extends RunPlace {
  run: StudyRun
  task: Task
  tokenizer: Tokenizer
}

/**
 * Makes one policy of a study, judges it and writes its record. A run that was killed is gone on with from its last checkpoint;
 * its folder is deleted once the record stands.
 */
export async function performRun(run: StudyRun, place: RunPlace): Promise<void> {
  const { identity } = run
  const bench = await openBench(run, place)
  const startedAt = new Date().toISOString()
  const processorBefore = process.cpuUsage()
  let begin = performance.now()
  const lap = () => {
    const seconds = (performance.now() - begin) / 1000
    begin = performance.now()
    return Math.round(seconds * 10) / 10
  }
  const model = await makeBase(bench)
  // A base policy that was found ready took no time worth telling: its seconds are those of whoever made it.
  if (hasRecord(place.records, run.hash)) return
  const folder = join(place.work, 'runs', run.hash)
  const finished = identity.training === undefined ? model : await trainMethod(bench, model, folder)
  const trainSeconds = lap()
  const { sets, isa, threads } = await judgeSets(bench, finished)
  const series =
    identity.training === undefined ? {} : thinnedSeries(await readMetrics(join(folder, 'metrics.jsonl')))
  const record: StudyRecord = {
    format: 1,
    hash: run.hash,
    label: run.label,
    identity,
    environment: { ...environment(), isa, threads, started_at: startedAt },
    seconds: { train: trainSeconds, evaluate: lap(), processor: processorSeconds(processorBefore) },
    sets,
    series,
  }
  await writeRecord(place.records, record)
  await rm(folder, { recursive: true, force: true })
}

function processorSeconds(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return Math.round((user + system) / 1e5) / 10
}

export async function openBench(run: StudyRun, place: RunPlace): Promise<Workbench> {
  const task = await loadTask(run.identity.task, run.identity.taskOptions)
  return { ...place, run, task, tokenizer: Tokenizer.fromDefinition(task.tokenizer) }
}

/** The folder of the base policy, made first if it is not in the cache. */
export async function makeBase({ run, task, tokenizer, work, backend }: Workbench): Promise<string> {
  const { model, base } = run.identity
  return basePolicy({
    settings: { model, base },
    ...{ task, tokenizer, backend, cache: join(work, 'cache'), signal: undefined },
    plan: { tell: () => {}, finish: () => {} },
    log: { time: (_, make) => make() },
  })
}

/** The folder of the trained policy. */
async function trainMethod(bench: Workbench, model: string, folder: string): Promise<string> {
  const { steps } = bench.run.identity.training!
  const finished = join(folder, 'checkpoints', String(steps))
  if (existsSync(finished)) return finished
  await using policy = await Policy.load({ model, ...bench.backend })
  for await (const _ of await trainingSteps(bench, policy, folder));
  return finished
}

/** Trains `policy` as the run says, step by step. */
export async function trainingSteps(
  bench: Workbench,
  policy: Policy,
  folder: string,
): Promise<AsyncGenerator<TrainStep>> {
  const { task, run } = bench
  const { training, objective, pool, watch } = run.identity as Required<RunIdentity>
  return train({
    ...training,
    policy,
    prompts: await promptsOfRun(bench, 'train', pool),
    evalPrompts: await promptsOfRun(bench, 'tune', watch),
    verifier: task.verifier,
    objective: objective as ObjectiveSpec & object,
    out: folder,
    maxCompletionLength: task.maxCompletionLength,
    resume: true,
    saveEvery: Math.ceil(training.steps / 4),
    keepCheckpoints: 1,
  })
}

async function judgeSets(
  bench: Workbench,
  model: string,
): Promise<{ sets: Record<string, SetRecord>; isa: string; threads: number }> {
  const { task, backend, run } = bench
  const { evaluation, sets: all, training } = run.identity
  await using policy = await Policy.load({ model, ...backend })
  const sets: Record<string, SetRecord> = {}
  for (const set of all) {
    const judged = await evaluate({
      policy,
      prompts: await promptsOfRun(bench, 'heldout', set),
      verifier: task.verifier,
      ...evaluation,
      majorityKs: [1],
      temperature: training?.temperature ?? 1,
      maxCompletionLength: task.maxCompletionLength,
      distinctKey: task.distinctKey,
    })
    sets[set.name] = setRecord(judged)
  }
  return { sets, isa: policy.info.isa, threads: policy.info.threads }
}

export function promptsOfRun(
  { run, tokenizer }: Workbench,
  split: Split,
  set: PromptSetSettings,
): Promise<PromptRow[]> {
  return promptSet(run.identity, tokenizer, split, set)
}
