import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { defaultConfig } from '../checkpoint.ts'
import { Policy } from '../policy.ts'
import { demonstrationBatches, sft } from '../sft.ts'
import type { ExperimentSettings } from './settings.ts'
import type { StageLog } from './stage-log.ts'
import { baseStage, type WorkPlan } from './work-plan.ts'
import type { Workspace } from './workspace.ts'

/** What a base policy follows from, and who is told of its making. */
export interface BaseWorkspace
  extends Pick<Workspace, 'task' | 'tokenizer' | 'cache' | 'backend' | 'signal'> {
  settings: Pick<ExperimentSettings, 'model' | 'base'>
  plan: Pick<WorkPlan, 'tell' | 'finish'>
  log: Pick<StageLog, 'time'>
}

/** A change of this number makes every cached base policy be built anew. */
const RECIPE = 2

/**
 * The folder of the base policy: maximum likelihood of the task's demonstrations. Built once for the same settings,
 * instruction set and device, whatever experiment asks for it; a build that was stopped is gone on with.
 */
export async function basePolicy(workspace: BaseWorkspace): Promise<string> {
  const { settings, task, tokenizer, plan, log, signal } = workspace
  const { seed, batchRows, steps, ...optimizer } = settings.base
  const config = defaultConfig({
    ...settings.model,
    vocabSize: tokenizer.vocabSize,
    maxPositions: task.maxPromptLength + task.maxCompletionLength,
    ...(tokenizer.eosTokenId !== undefined && { eosTokenId: tokenizer.eosTokenId }),
  })
  await using policy = await Policy.init({ config, tokenizer, seed, ...workspace.backend })
  const identity = [
    RECIPE,
    task.name,
    task.options,
    config,
    settings.base,
    policy.info.device,
    policy.info.isa,
  ]
  const hash = createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 16)
  const folder = join(workspace.cache, `base-${hash}`)
  if (existsSync(join(folder, 'config.json'))) {
    plan.finish(baseStage)
    return folder
  }
  const run = `${folder}.run`
  await log.time(baseStage, async () => {
    const training = sft({
      ...optimizer,
      policy,
      batches: demonstrationBatches(task, batchRows, seed),
      steps,
      out: run,
      resume: true,
      saveEvery: Math.ceil(steps / 8),
      ...(signal && { signal }),
    })
    for await (const { step, metrics } of training)
      plan.tell(baseStage, step / steps, { loss: metrics.loss ?? 0 })
    await policy.save(folder, {
      alongside: (directory) => copyFile(join(run, 'metrics.jsonl'), join(directory, 'metrics.jsonl')),
    })
    await rm(run, { recursive: true })
  })
  plan.finish(baseStage)
  return folder
}
