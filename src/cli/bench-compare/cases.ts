import { type ComputeDtype, CoppiceError, defaultConfig, type JsonObject, nearest } from '../../index.ts'
import { BENCH_MODELS, type BenchModel } from '../bench/model-shapes.ts'

export type CompareKind = 'op' | 'head' | 'step' | 'generate'

/** One thing that every side does: what it is, and the sizes it is done at. Keys are those of the JSON that a process is given. */
export interface Workload {
  /** What `--cases` knows it by. */
  name: string
  kind: CompareKind
  op: string
  /** The sizes in words, as in the rows of `coppice bench`. */
  shape: string
  sizes: Readonly<Record<string, number>>
  /** Tokens that one run learns from or samples; 0 where tokens are not what counts. */
  tokens: number
  /** Of the model, as in config.json; parameters are random. */
  config?: JsonObject
}

/** A workload as one process is asked to do it. */
export interface CompareCase extends Workload {
  dtype: ComputeDtype
  threads: number
  /** How long it is timed, at least three runs. */
  seconds: number
}

const GEMM_OPS = ['linear', 'linear_backward_input', 'linear_backward_weight']

function product(op: string, rows: number, cols: number, inner: number): Workload {
  const shape = `rows ${rows}, cols ${cols}, inner ${inner}`
  return {
    ...{ name: `op/${op}-${rows}x${cols}x${inner}`, kind: 'op', op, shape },
    ...{ sizes: { rows, cols, inner }, tokens: 0 },
  }
}

function head(rows: number, vocab: number, cols: number): Workload {
  const shape = `rows ${rows}, vocab ${vocab}, cols ${cols}`
  return {
    ...{ name: `head/${rows}x${vocab}x${cols}`, kind: 'head', op: 'head_forward_backward', shape },
    ...{ sizes: { rows, vocab, cols }, tokens: rows },
  }
}

/** Rows of one token more than are learnt from: the first is predicted by nothing. */
function step(name: string, config: JsonObject, rows: number, length: number): Workload {
  return {
    ...{ name: `step/${name}`, kind: 'step', op: 'train_step' },
    ...{ shape: `${name}, ${rows} rows of ${length} tokens`, sizes: { rows, length } },
    ...{ tokens: rows * length, config },
  }
}

function generation(
  name: string,
  config: JsonObject,
  prompts: number,
  promptLength: number,
  length: number,
): Workload {
  return {
    ...{ name: `generate/${name}-${prompts}`, kind: 'generate', op: 'generate' },
    shape: `${name}, ${prompts} prompts of ${promptLength} x ${length} tokens`,
    sizes: { prompts, prompt_length: promptLength, completion_length: length },
    ...{ tokens: prompts * length, config },
  }
}

function llama(model: BenchModel): JsonObject {
  const { hiddenSize, numLayers, numHeads, intermediateSize, vocabSize, length } = model
  return defaultConfig({
    ...{ modelType: 'llama', hiddenSize, numLayers, numHeads, intermediateSize, vocabSize },
    ...{ maxPositions: 4 * length, tieEmbeddings: true },
  })
}

function qwen(numLayers: number): JsonObject {
  return defaultConfig({
    ...{ modelType: 'qwen2', hiddenSize: 896, numLayers, numHeads: 14, numKvHeads: 2 },
    ...{ intermediateSize: 4864, vocabSize: 151_936, maxPositions: 4096, tieEmbeddings: true },
  })
}

const { S, M } = BENCH_MODELS
const HALF_BILLION = 'Qwen2.5-0.5B'

/** Everything that is compared, small before large. */
export const WORKLOADS: readonly Workload[] = [
  ...[1, 8, 32, 256].map((rows) => product('linear', rows, 1024, 256)),
  ...GEMM_OPS.map((op) => product(op, 4096, 1024, 256)),
  ...GEMM_OPS.map((op) => product(op, 2048, 2048, 512)),
  head(4096, 128, 256),
  head(2048, 4096, 512),
  head(2048, 151_936, 896),
  step('S', llama(S), S.batch, S.length),
  step('M', llama(M), M.batch, M.length),
  step(`${HALF_BILLION}-slice`, qwen(1), 1, 512),
  ...[1, 8, 32, 256].map((prompts) => generation('S', llama(S), prompts, 16, 64)),
  ...[1, 32].map((prompts) => generation(HALF_BILLION, qwen(24), prompts, 16, 32)),
]

/** The workloads of a kind, or those that are named. */
export function chooseWorkloads(kind: string, names: readonly string[] | undefined): readonly Workload[] {
  const ofKind = WORKLOADS.filter((workload) => kind === 'all' || workload.kind === kind)
  if (ofKind.length === 0) {
    throw new CoppiceError('INVALID_ARGUMENT', 'nothing to compare with', {
      ...{ where: `bench ${kind} --compare`, expected: 'op, head, step, generate or all' },
    })
  }
  return names === undefined ? ofKind : names.map((name) => named(name, ofKind))
}

function named(name: string, workloads: readonly Workload[]): Workload {
  const found = workloads.find((workload) => workload.name === name)
  if (found !== undefined) return found
  const known = workloads.map((workload) => workload.name)
  const near = nearest(name, known)
  throw new CoppiceError('INVALID_ARGUMENT', 'unknown case', {
    where: '--cases',
    expected: near === undefined ? `some of ${known.join(', ')}` : `did you mean '${near}'?`,
    received: JSON.stringify(name),
  })
}
