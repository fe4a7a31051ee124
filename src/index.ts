/**
 * Reinforcement learning with verifiable rewards inside Node.js. This is the public face: nothing else is to be imported.
 *
 * @packageDocumentation
 */

export { type BenchmarkOp, type BenchmarkOptions, benchmark, benchmarkOps } from './bench/benchmark.ts'
export { type MachinePeaksOptions, machinePeaks } from './bench/peaks.ts'
export { type BuildOptions, buildAddon } from './build.ts'
export type { SafetensorsHeader, TensorHeader } from './checkpoint/safetensors.ts'
export {
  type DefaultConfigOptions,
  defaultConfig,
  type FileDtype,
  type Heads,
  hasOptimizerState,
  type JsonObject,
  type JsonValue,
  type ModelConfig,
  type ModelFolder,
  readJsonObject,
  readModelFolder,
  readSafetensorsHeader,
  requireWritableFolder,
  type SamplingDefaults,
  type TensorInFile,
  type TensorShape,
  tensorShapesOf,
  type WriteModelOptions,
} from './checkpoint.ts'
export { Critic, type CriticLoadOptions, type CriticUpdate, valueModelOf } from './critic.ts'
export * from './data.ts'
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
export * from './explain.ts'
export * from './hub.ts'
export { judge, partRewardMeans } from './judge.ts'
export * from './kernels.ts'
export { type AddonStatus, addonStatus, type MachineMemory, machineMemory } from './machine.ts'
export type {
  ActivationCheckpointing,
  ComputeDtype,
  NativeEngineInfo,
  NativeMachine,
} from './native/types.ts'
export type {
  CriticOptions,
  DeviationOptions,
  Objective,
  ObjectiveKind,
  ObjectiveOptions,
  ObjectiveSpec,
  OptionsOf,
  ResolvedObjective,
  ResolvedOf,
  ResolvedOptions,
} from './objective-options.ts'
export type { JudgedColumns } from './objectives/judged-rows.ts'
export type { KlLogprobs } from './objectives/reward-penalty.ts'
export type { FlagColumn, TokenColumn, TokenFlags, TokenValues } from './objectives/token-columns.ts'
export type { CompletionTokens, TokenDtype } from './objectives/token-weights.ts'
export {
  assignAdvantages,
  type BatchShape,
  type EmptyClass,
  OBJECTIVE_KINDS,
  type RowAdvantages,
  resolveObjective,
} from './objectives.ts'
export { nearest } from './options.ts'
export {
  type ExpectedThroughput,
  expectedThroughput,
  type PlanMemoryOptions,
  planMemory,
  processRow,
  totalBytes,
} from './plan.ts'
export type { Rows } from './policy/native-rows.ts'
export * from './policy.ts'
export {
  type FloatArray,
  type FormOf,
  type PolicyLoss,
  type PolicyLossBatch,
  type PolicyLossInputs,
  type PolicyLossKernel,
  type PolicyLossParams,
  type PolicyLossResult,
  type PolicyLossStats,
  policyLoss,
} from './policy-loss.ts'
export { type Preset, type PresetValues, presetNames, presetOf } from './presets.ts'
export {
  createProgressWriter,
  formatDuration,
  type Progress,
  type ProgressOptions,
  type ProgressOutput,
  type ProgressWriter,
} from './progress.ts'
export {
  type PromptRow,
  promptBatch,
  promptsOf,
  type ReadPromptsOptions,
  readPrompts,
} from './prompts.ts'
export { type PngDrawing, type PngFonts, rasterise } from './report/png.ts'
export type {
  MetricsRow,
  ReportData,
  ReportEnvironment,
  ReportEvaluation,
  ReportMethod,
  ReportPhase,
  ReportRun,
  ReportSample,
  ReportSet,
  SampleColumn,
  SampleGroup,
  SettingsSection,
} from './report/report-data.ts'
export { type WriteReportOptions, type WrittenReport, writeReport } from './report/write-report.ts'
export * from './rollouts.ts'
export * from './sft.ts'
export type { Answer } from './statistics/answers.ts'
export {
  type BootstrapOptions,
  bootstrapMeans,
  type MeanInterval,
  type PassAtKTable,
} from './statistics/bootstrap.ts'
export {
  compareMethods,
  excludesZero,
  type MethodComparison,
  type MethodDifference,
} from './statistics/compare-methods.ts'
export { majorityAtK, majorityAtKTable } from './statistics/majority-at-k.ts'
export { passAtK, type RightCount } from './statistics/pass-at-k.ts'
export { pairedDifferenceTable, passAtKTable, passAtKTableOverSeeds } from './statistics/pass-at-k-table.ts'
export { medianOf, quantileOf } from './statistics/quantiles.ts'
export * from './study.ts'
export type { ArithmeticOptions } from './tasks/arithmetic.ts'
export type { CountdownOptions } from './tasks/countdown.ts'
export * from './tasks/index.ts'
export type { Random } from './tasks/random.ts'
export {
  type Demonstration,
  type DemonstrationTokens,
  defineTask,
  type Split,
  splits,
  type Task,
  type TaskOptionValue,
  type TaskParts,
  type TaskPrompt,
  type TaskRow,
} from './tasks/task.ts'
export type { WalkOptions } from './tasks/walk.ts'
export * from './templates.ts'
export { type DecodeOptions, type EncodeOptions, Tokenizer, writeTokenizer } from './tokenizer.ts'
export { characterTokenizer, type TokenizerDefinition, wordTokenizer } from './tokenizer-definition.ts'
export * from './trainer.ts'
export type { Judgement, Sample, Verdict, Verifier, VerifierContext } from './verdicts.ts'
export type { WorkerSource } from './verifiers/worker-messages.ts'
export * from './verify.ts'
export { version } from './version.ts'
