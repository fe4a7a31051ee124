import { join } from 'node:path'
import type { BackendOptions } from '../policy.ts'
import type { PromptRow } from '../prompts.ts'
import { loadTask } from '../tasks/index.ts'
import type { Split, Task } from '../tasks/task.ts'
import { Tokenizer } from '../tokenizer.ts'
import type {
  ArmSettings,
  ExperimentSettings,
  HeldOutSettings,
  MethodSettings,
  PromptSetSettings,
} from './settings.ts'
import type { StageLog } from './stage-log.ts'
import type { WorkPlan } from './work-plan.ts'

/** What the stages of an experiment share. */
export interface Workspace {
  settings: ExperimentSettings
  out: string
  cache: string
  backend: BackendOptions
  log: StageLog
  plan: WorkPlan
  tokenizer: Tokenizer
  /** The task with the options of everything. */
  task: Task
  /** Held-out prompts by name of the set. */
  heldOut: ReadonlyMap<string, readonly PromptRow[]>
  watch: readonly PromptRow[]
  signal: AbortSignal | undefined
}

export interface TaskPrompts {
  task: Task
  tokenizer: Tokenizer
  heldOut: Map<string, readonly PromptRow[]>
  watch: readonly PromptRow[]
}

/** Every prompt that the experiment judges by, made anew: they follow from the settings. */
export async function taskPrompts(settings: ExperimentSettings): Promise<TaskPrompts> {
  const task = await loadTask(settings.task, settings.taskOptions)
  const tokenizer = Tokenizer.fromDefinition(task.tokenizer)
  const { sets, watch, split = 'heldout' } = settings.evaluation
  const heldOut = new Map<string, readonly PromptRow[]>()
  for (const set of sets) heldOut.set(set.name, await promptSet(settings, tokenizer, split, set))
  return { task, tokenizer, heldOut, watch: await promptSet(settings, tokenizer, 'tune', watch) }
}

/** Prompts of one split under the options of one set. */
export async function promptSet(
  settings: Pick<ExperimentSettings, 'task' | 'taskOptions'>,
  tokenizer: Tokenizer,
  split: Split,
  { prompts, seed, taskOptions }: PromptSetSettings,
): Promise<PromptRow[]> {
  const task = await loadTask(settings.task, { ...settings.taskOptions, ...taskOptions })
  return task
    .prompts(split, prompts, seed)
    .map((row) => ({ ...row, promptTokens: tokenizer.encode(row.prompt) }))
}

export function heldOutSets({ settings }: Workspace, arm: ArmSettings): HeldOutSettings[] {
  return arm.sets.map((name) => settings.evaluation.sets.find((set) => set.name === name)!)
}

/** The main arm's methods stand in the folder itself, those of the others in a folder of the arm's name. */
export function armFolder({ settings, out }: Workspace, arm: ArmSettings): string {
  return arm === settings.arms[0] ? out : join(out, arm.name)
}

export function methodFolder(
  workspace: Workspace,
  arm: ArmSettings,
  method: Pick<MethodSettings, 'name'>,
): string {
  return join(armFolder(workspace, arm), method.name)
}
