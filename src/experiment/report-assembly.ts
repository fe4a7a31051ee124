import { availableParallelism } from 'node:os'
import type { PromptRow } from '../prompts.ts'
import type { ReportData, ReportMethod, SampleGroup, SettingsSection } from '../report/report-data.ts'
import { compareMethods, type MethodComparison } from '../statistics/compare-methods.ts'
import type { JudgedRun } from './method-run.ts'
import type { ArmSettings, MethodSettings } from './settings.ts'
import { heldOutSets, type Workspace } from './workspace.ts'

/** Everything that came out of one arm. */
export interface ArmResult {
  arm: ArmSettings
  base: JudgedRun
  /** [method][seed]. */
  methods: { method: MethodSettings; runs: JudgedRun[] }[]
}

/** pass@k of the base policy and of every method on one held-out set, with paired differences. */
export function compareArm({ base, methods }: ArmResult, set: string): MethodComparison {
  const counts = (run: JudgedRun) => run.run.evaluations[set]!.right_counts
  return compareMethods([[counts(base)], ...methods.map(({ runs }) => runs.map(counts))])
}

/** What the report of an arm is drawn from. */
export function reportData(
  workspace: Workspace,
  result: ArmResult,
  shown: readonly PromptRow[],
  engine: { device: string; isa: string; threads: number },
  notes: readonly string[],
): ReportData {
  const { settings, log } = workspace
  const { arm, base, methods } = result
  const { machine, commit, versions } = log.environment
  const baseMethod: ReportMethod = {
    name: 'base',
    label: 'Base',
    base: true,
    description: 'maximum likelihood of the demonstrations; all others were trained from it',
    runs: [{ ...base.run, evaluations: ofArm(base, arm) }],
  }
  return {
    title: arm.title,
    summary: arm.summary,
    notes: [...notes],
    sets: heldOutSets(workspace, arm).map(({ name, label, description }) => ({ name, label, description })),
    methods: [
      baseMethod,
      ...methods.map(({ method, runs }) => ({
        name: method.name,
        label: method.label,
        runs: runs.map(({ run }) => run),
      })),
    ],
    groups: shown.map((prompt) => sampleGroup(prompt, result)),
    settings: settingsSections(workspace, arm),
    environment: {
      machine,
      cores: availableParallelism(),
      threads: engine.threads,
      instruction_set: engine.isa,
      device: engine.device,
      dtype: 'f32',
      commit,
      versions,
      seeds: settings.seeds,
      started_at: log.startedAt,
      phases: log.phases.map(({ name, seconds }) => ({ name, seconds })),
    },
  }
}

function ofArm({ run }: JudgedRun, arm: ArmSettings): JudgedRun['run']['evaluations'] {
  return Object.fromEntries(arm.sets.map((set) => [set, run.evaluations[set]!]))
}

/** One prompt with the samples of the base policy and of each method's first seed. */
function sampleGroup({ promptId, prompt, reference }: PromptRow, { base, methods }: ArmResult): SampleGroup {
  const samplesIn = (run: JudgedRun) => run.groups.find((group) => group.promptId === promptId)?.samples ?? []
  return {
    prompt_id: promptId,
    prompt,
    reference,
    note: 'sampled after training; weights as if the group were an optimiser batch of its own',
    columns: [
      { method: 'base', samples: samplesIn(base) },
      ...methods.map(({ method, runs }) => ({
        method: method.name,
        seed: runs[0]!.run.seed,
        samples: samplesIn(runs[0]!),
      })),
    ],
  }
}

function settingsSections({ settings, task }: Workspace, arm: ArmSettings): SettingsSection[] {
  const { model, base, training, evaluation } = settings
  return [
    { title: 'Task', values: { task: task.name, ...plain(task.options) } },
    { title: 'Model', values: plain(model) },
    { title: 'Base policy', values: plain(base) },
    { title: 'Training', values: { steps: arm.steps, ...plain(training) } },
    {
      title: 'Training prompts',
      values: { prompts: arm.pool.prompts, seed: arm.pool.seed, ...plain(arm.pool.taskOptions) },
    },
    {
      title: 'Evaluation',
      values: {
        n: evaluation.n,
        seed: evaluation.seed,
        prompts_a_set: evaluation.sets.map(({ prompts }) => prompts).join(', '),
      },
    },
  ]
}

/** Keys in snake case; what is no plain value as JSON text. */
function plain(values: object): SettingsSection['values'] {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      typeof value === 'object' && value !== null ? JSON.stringify(value) : value,
    ]),
  )
}
