/**
 * Reinforcement learning with verifiable rewards inside Node.js. This is the public face: nothing else is to be imported.
 *
 * @packageDocumentation
 */

export { type BuildOptions, buildAddon } from './build.ts'
export {
  type DefaultConfigOptions,
  defaultConfig,
  type ModelConfig,
  type ModelFolder,
  readModelFolder,
  readSafetensorsHeader,
  requireWritableFolder,
  tensorShapesOf,
} from './checkpoint.ts'
export { type Environment, environment } from './environment.ts'
export { CoppiceError, type CoppiceErrorDetails, type ErrorCode } from './errors.ts'
export {
  type DistinctKey,
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  evaluationRecord,
} from './evaluate.ts'
export * from './experiment.ts'
export { judge } from './judge.ts'
export { type AttentionInput, Kernels, type KernelsOptions, kernels } from './kernels.ts'
export { type AddonStatus, addonStatus } from './machine.ts'
export type {
  Objective,
  ObjectiveKind,
  ObjectiveOptions,
  ObjectiveSpec,
  ResolvedObjective,
} from './objective-options.ts'
export {
  assignAdvantages,
  OBJECTIVE_KINDS,
  type RowAdvantages,
  resolveObjective,
} from './objectives.ts'
export { nearest } from './options.ts'
export * from './policy.ts'
export { type PolicyLoss, type PolicyLossBatch, policyLoss } from './policy-loss.ts'
export { createProgressWriter, formatDuration, type Progress, type ProgressWriter } from './progress.ts'
export { type PromptRow, promptBatch, promptsOf, readPrompts } from './prompts.ts'
export { rasterise } from './report/png.ts'
export type { ReportData } from './report/report-data.ts'
export { type WriteReportOptions, type WrittenReport, writeReport } from './report/write-report.ts'
export * from './rollouts.ts'
export * from './sft.ts'
export { bootstrapMeans, type MeanInterval, type PassAtKTable } from './statistics/bootstrap.ts'
export { compareMethods, excludesZero, type MethodComparison } from './statistics/compare-methods.ts'
export { majorityAtK, majorityAtKTable } from './statistics/majority-at-k.ts'
export { passAtK, type RightCount } from './statistics/pass-at-k.ts'
export { pairedDifferenceTable, passAtKTable, passAtKTableOverSeeds } from './statistics/pass-at-k-table.ts'
export * from './tasks/index.ts'
export {
  type Demonstration,
  type DemonstrationTokens,
  defineTask,
  type Split,
  splits,
  type Task,
  type TaskParts,
  type TaskRow,
} from './tasks/task.ts'
export { Tokenizer, writeTokenizer } from './tokenizer.ts'
export * from './trainer.ts'
export type { Judgement, Sample, Verdict, Verifier, VerifierContext } from './verdicts.ts'
export * from './verify.ts'
export { version } from './version.ts'
