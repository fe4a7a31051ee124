import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Critic, valueModelOf } from '../critic.ts'
import { type Evaluation, evaluate, evaluationRecord } from '../evaluate.ts'
import type { ResolvedObjective } from '../objective-options.ts'
import { Policy } from '../policy.ts'
import type { PromptRow } from '../prompts.ts'
import { replaceFile } from '../replace-file.ts'
import type { ReportEvaluation, ReportRun } from '../report/report-data.ts'
import { objectiveOfRun, readMetrics, train } from '../trainer.ts'
import { createVerifierPool } from '../verify.ts'
import { type ExampleGroup, exampleGroups } from './example-groups.ts'
import type { ArmSettings, MethodSettings } from './settings.ts'
import { evaluateStage, runName, trainStage } from './work-plan.ts'
import { methodFolder, promptSet, type Workspace } from './workspace.ts'

/** One policy of the experiment, judged. */
export interface JudgedRun {
  run: ReportRun
  groups: ExampleGroup[]
}

/** The base policy on every held-out set. */
export async function judgeBase(
  workspace: Workspace,
  model: string,
  shown: readonly PromptRow[],
): Promise<JudgedRun> {
  const { settings, backend, out } = workspace
  const folder = join(out, 'base')
  const sets = settings.evaluation.sets.map(({ name }) => name)
  await using policy = new LazyPolicy(() => Policy.load({ model, ...backend }))
  return judgePolicy(workspace, policy, {
    folder,
    name: 'base',
    sets,
    shown,
    objective: undefined,
    reference: undefined,
    seed: settings.base.seed,
  })
}

/** Trains one method of an arm with one seed from the base policy, and judges it; what is done already is not repeated. */
export async function runMethod(
  workspace: Workspace,
  model: string,
  arm: ArmSettings,
  method: MethodSettings,
  seed: number,
  shown: readonly PromptRow[],
): Promise<JudgedRun> {
  const { settings, task, tokenizer, backend, log, plan, watch, signal } = workspace
  const folder = join(methodFolder(workspace, arm, method), `seed-${seed}`)
  const stage = trainStage(arm, method.name, seed, settings)
  const finished = join(folder, 'checkpoints', String(arm.steps))
  const objective = objectiveOfRun(method.objective, {
    ...settings.training,
    maxCompletionLength: task.maxCompletionLength,
  })
  // The base policy is what every method stays near.
  const hasKl = objective.beta !== 0
  if (!existsSync(finished)) {
    const valueModel = valueModelOf(method.objective)
    const { seed: _, ...where } = backend
    await using policy = await Policy.load({ model, ...backend, valueHead: valueModel === 'shared' })
    await using critic = valueModel === 'separate' ? await Critic.load({ model, ...where }) : null
    await using reference = hasKl ? await Policy.load({ model, ...backend }) : null
    await log.time(stage, async () => {
      const steps = train({
        ...settings.training,
        policy,
        ...(critic && { critic }),
        prompts: await promptSet(settings, tokenizer, 'train', arm.pool),
        evalPrompts: watch,
        verifier: task.verifier,
        objective: method.objective,
        ...(reference && { reference }),
        out: folder,
        steps: arm.steps,
        maxCompletionLength: task.maxCompletionLength,
        seed,
        resume: true,
        saveEvery: Math.ceil(arm.steps / 4),
        keepCheckpoints: 1,
        ...(signal && { signal }),
      })
      for await (const { step, metrics } of steps) {
        const { accuracy = Number.NaN, entropy = Number.NaN } = metrics
        plan.tell(stage, step / arm.steps, { accuracy, entropy })
      }
    })
  }
  plan.finish(stage)
  await using policy = new LazyPolicy(() => Policy.load({ model: finished, ...backend }))
  const judged = await judgePolicy(workspace, policy, {
    folder,
    name: runName(arm, method.name, seed, settings),
    sets: arm.sets,
    shown,
    ...{ objective, reference: objective.klIn === 'reward' ? model : undefined, seed },
  })
  const metrics = await readMetrics(join(folder, 'metrics.jsonl'))
  return { ...judged, run: { ...judged.run, metrics: metrics as NonNullable<ReportRun['metrics']> } }
}

/** A policy that is loaded when it is first asked for: one whose results are all there is never loaded. */
class LazyPolicy implements AsyncDisposable {
  readonly #load: () => Promise<Policy>
  #policy: Promise<Policy> | undefined

  constructor(load: () => Promise<Policy>) {
    this.#load = load
  }

  get(): Promise<Policy> {
    this.#policy ??= this.#load()
    return this.#policy
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#policy)?.dispose()
  }
}

interface Judging {
  folder: string
  name: string
  sets: readonly string[]
  /** Prompts whose samples the report shows. */
  shown: readonly PromptRow[]
  objective: ResolvedObjective | undefined
  /** Folder of the policy that the samples' KL is measured from, where their rewards have one. */
  reference: string | undefined
  seed: number
}

async function judgePolicy(workspace: Workspace, policy: LazyPolicy, judging: Judging): Promise<JudgedRun> {
  const { settings, task, backend, heldOut, log, plan, signal } = workspace
  const { folder, name, sets, shown, objective, seed } = judging
  await mkdir(folder, { recursive: true })
  const evaluations: Record<string, ReportEvaluation> = {}
  for (const set of sets) {
    const stage = evaluateStage(name, set)
    evaluations[set] = await once(join(folder, `evaluation-${set}.json`), () =>
      log.time(stage, async () => {
        const evaluation = await evaluate({
          policy: await policy.get(),
          prompts: heldOut.get(set)!,
          verifier: task.verifier,
          n: settings.evaluation.n,
          majorityKs: [settings.evaluation.n],
          seed: settings.evaluation.seed,
          temperature: settings.training.temperature ?? 1,
          maxCompletionLength: task.maxCompletionLength,
          distinctKey: task.distinctKey,
          ...(signal && { signal }),
          onProgress: (done, total) => plan.tell(stage, done / total),
        })
        return { ...evaluationRecord(evaluation), report: reportEvaluation(evaluation) }
      }),
    ).then(({ report }) => report as ReportEvaluation)
    plan.finish(stage)
  }
  const { groups } = await once(join(folder, 'examples.json'), async () => {
    await using pool = await createVerifierPool(task.verifier)
    const sampling = {
      numGenerations: settings.training.numGenerations ?? 8,
      maxCompletionLength: task.maxCompletionLength,
      seed: settings.evaluation.seed,
    }
    await using reference =
      judging.reference === undefined
        ? undefined
        : await Policy.load({ model: judging.reference, ...backend })
    return {
      groups: await exampleGroups(await policy.get(), shown, pool, { objective, reference, ...sampling }),
    }
  })
  return { run: { seed, evaluations }, groups: groups as ExampleGroup[] }
}

/** The content of a JSON file, made first if it is not there. */
async function once<T extends object>(path: string, make: () => Promise<T>): Promise<T> {
  if (existsSync(path)) return JSON.parse(await readFile(path, 'utf8'))
  const made = await make()
  await replaceFile(path, `${JSON.stringify(made)}\n`)
  return made
}

function reportEvaluation(evaluation: Evaluation): ReportEvaluation {
  return {
    right_counts: evaluation.rightCounts,
    ...(evaluation.greedyAccuracy !== null && { greedy_accuracy: evaluation.greedyAccuracy.mean }),
    entropy: evaluation.entropy,
    distinct_right: evaluation.distinctRight.mean,
    majority: evaluation.majorityAtK[String(evaluation.n)]!.mean,
    unparsed: evaluation.unparsedRate,
    mean_length: evaluation.meanLength,
  }
}
