import type { ModelConfig } from '../checkpoint.ts'
import type { NativeMemoryRequest, NativeMicroBatches } from '../native/types.ts'
import { refuseUnknownKeys, requireInteger, requireOneOf } from '../options.ts'
import { generationParams } from './generate.ts'
import {
  ACTIVATION_CHECKPOINTING,
  DEFAULT_TOKEN_BUDGET,
  type MicroBatchOptions,
  type PlanOptions,
  type PlanRow,
} from './options.ts'

const PLAN_KEYS = [
  ...['training', 'generation', 'tokenBudget', 'activationCheckpointing', 'promptsPerStep'],
  ...['numGenerations', 'maxCompletionLength', 'maxLiveSequences', 'topP', 'topK', 'minP'],
  ...['longestPrompt', 'longestRow'],
] as const satisfies readonly (keyof PlanOptions)[]

/**
 * Bytes that a token of a step's rollouts takes at its most, in every copy that is alive during the update: the columns as
 * sampled and as joined, what is appended to them, the rows of a mini-batch, and the engine's own copy of those.
 */
const BYTES_PER_COMPLETION_TOKEN = 96
/** The same of a prompt's tokens, which stand in each of its rows. */
const BYTES_PER_PROMPT_TOKEN = 32
/** The engine's sizes are products of a micro-batch's tokens and the model's widths, and have to stay within 64 bits. */
const MAX_TOKEN_BUDGET = 2 ** 31 - 1

export function microBatchesOf(options: MicroBatchOptions, where: string): NativeMicroBatches {
  return {
    tokenBudget: tokenBudgetOf(options.tokenBudget, where),
    activationCheckpointing: requireOneOf(
      options.activationCheckpointing ?? 'none',
      `${where}.activationCheckpointing`,
      ACTIVATION_CHECKPOINTING,
    ),
  }
}

export function tokenBudgetOf(given: number | undefined, where: string): number {
  return requireInteger(given ?? DEFAULT_TOKEN_BUDGET, `${where}.tokenBudget`, 1, MAX_TOKEN_BUDGET)
}

/** The engine's form of what is to be planned or reserved, every default filled in and every value checked. */
export function memoryRequest(
  options: PlanOptions,
  config: Readonly<ModelConfig>,
  where: string,
): NativeMemoryRequest {
  refuseUnknownKeys(options, PLAN_KEYS, where)
  const { numGenerations, maxCompletionLength, maxLiveSequences, topP, topK, minP } = options
  const given = Object.entries({ numGenerations, maxCompletionLength, maxLiveSequences, topP, topK, minP })
  const sampling = Object.fromEntries(given.filter(([, value]) => value !== undefined))
  const params = generationParams(sampling, { stopTokens: [], seed: 0n, policyStep: 0 })
  const positions = config.maxPositions
  const longestPrompt = requireInteger(options.longestPrompt, `${where}.longestPrompt`, 1, positions)
  const longest = Math.min(positions, longestPrompt + params.maxCompletionLength)
  const rows = rowsPerStep(options, params.numGenerations)
  return {
    training: options.training ?? true,
    generation: options.generation ?? true,
    microBatches: microBatchesOf(options, where),
    params: { ...params, maxLiveSequences: Math.min(params.maxLiveSequences, rows) },
    longestPrompt,
    longestRow: requireInteger(options.longestRow ?? longest, `${where}.longestRow`, 1, positions),
  }
}

/** What a step's rollouts take on the side of JavaScript, at full length of every completion. */
export function rolloutRow(options: PlanOptions, request: NativeMemoryRequest): PlanRow[] {
  const { numGenerations, maxCompletionLength } = request.params
  const rows = rowsPerStep(options, numGenerations)
  if (!request.generation || rows === Number.POSITIVE_INFINITY) return []
  const completion = Math.min(maxCompletionLength, request.longestRow)
  const row = completion * BYTES_PER_COMPLETION_TOKEN + request.longestPrompt * BYTES_PER_PROMPT_TOKEN
  return [{ what: 'rollouts', bytes: rows * row }]
}

function rowsPerStep({ promptsPerStep }: PlanOptions, numGenerations: number): number {
  if (promptsPerStep === undefined) return Number.POSITIVE_INFINITY
  return requireInteger(promptsPerStep, 'promptsPerStep', 1) * numGenerations
}
