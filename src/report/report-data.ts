import type { BootstrapOptions } from '../statistics/bootstrap.ts'
import type { RightCount } from '../statistics/pass-at-k.ts'
import type { Verdict } from '../verdicts.ts'

// What a report is made of: one JSON document, so that it can be stored beside a run and drawn again. Its keys are
// snake_case as in every file that coppice writes. All text is plain text; nothing in it is trusted or read as markup.

export interface ReportData {
  title: string
  /** What was asked and how, in a sentence or a few; the report adds what came out from the numbers. */
  summary: string
  /** Further paragraphs below the reading: what was tuned on what, what was left out, what to doubt. */
  notes?: string[]
  /** Held-out sets in the order of the report; the first is the one that the report opens with. */
  sets: ReportSet[]
  /** Methods in the order of tables and colours; a base policy comes first. */
  methods: ReportMethod[]
  /** Prompts whose groups of samples are shown token by token. */
  groups?: SampleGroup[]
  settings: SettingsSection[]
  environment: ReportEnvironment
  /** How the intervals are made; the defaults of the statistics otherwise. */
  bootstrap?: BootstrapOptions
}

export interface ReportSet {
  /** Key of the set in each run's `evaluations`. */
  name: string
  label: string
  /** What is in it and why, in a sentence. */
  description?: string
}

export interface ReportMethod {
  /** Folder name of the method, such as `w-reinforce`. */
  name: string
  /** Name for people, such as `W-REINFORCE 0.1`. */
  label: string
  /** The policy that all others were trained from; drawn in grey. At most one. */
  base?: boolean
  description?: string
  /** One run a seed; a base policy has one. */
  runs: ReportRun[]
}

export interface ReportRun {
  seed: number
  /** By name of the held-out set; every run has every set, with the same prompts in the same order. */
  evaluations: Record<string, ReportEvaluation>
  /** The rows of metrics.jsonl, in order. */
  metrics?: MetricsRow[]
}

/** One policy on one held-out set. */
export interface ReportEvaluation {
  /** Sampled and right completions, one entry a prompt. */
  right_counts: RightCount[]
  /** Share of prompts whose greedy completion is right, 0 to 1. */
  greedy_accuracy?: number
  /** Mean entropy over the full vocabulary, nats a token. */
  entropy?: number
  /** Mean number of different right answers a prompt among its n samples. */
  distinct_right?: number
  /** Mean majority@n, 0 to 1. */
  majority?: number
  /** Share of samples without an answer that the verifier could read, 0 to 1. */
  unparsed?: number
  /** Mean completion length in tokens. */
  mean_length?: number
}

/** One step's metrics under the keys of metrics.jsonl; keys may be missing or null on some steps. */
export interface MetricsRow {
  step: number
  [key: string]: unknown
}

export interface SettingsSection {
  title: string
  /** Shown in this order. */
  values: Record<string, string | number | boolean | null>
}

export interface ReportEnvironment {
  /** Processor or accelerator, in words. */
  machine: string
  cores: number
  threads?: number
  instruction_set: string
  device?: string
  dtype?: string
  /** Commit of the source, or what stands for it. */
  commit: string
  /** Name to version: coppice, node, the operating system ... */
  versions: Record<string, string>
  seeds: number[]
  /** ISO 8601, as recorded by the experiment; the report itself asks no clock. */
  started_at?: string
  /** In order; a phase is for instance `base policy` or `train nsr`. */
  phases: ReportPhase[]
}

export interface ReportPhase {
  name: string
  seconds: number
}

/** One prompt with the samples that methods drew for it. */
export interface SampleGroup {
  prompt_id: string
  prompt: string
  reference?: string
  /** Where it comes from and at which training step, in a few words. */
  note?: string
  columns: SampleColumn[]
}

export interface SampleColumn {
  /** Name of one of the methods. */
  method: string
  seed?: number
  samples: ReportSample[]
}

export interface ReportSample {
  /** The completion's tokens as text, in order. */
  tokens: string[]
  /** Log-prob of each token when it was sampled, nats; as many as tokens. */
  logprobs: number[]
  /** Weight of each token in the loss, advantage x mask / denominator; as many as tokens. Absent: not trained on. */
  token_weights?: number[]
  verdict: Verdict
  /** Null where the verifier abstained. */
  reward: number | null
  finish_reason?: 'stop' | 'length' | 'cancelled'
}
