import { type ComputeDtype, CoppiceError, type JsonObject } from '../../index.ts'
import { chooseNamed } from '../bench/choose-named.ts'
import { BENCH_MODELS, type BenchModel, configOf } from '../bench/model-shapes.ts'

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
function step(model: BenchModel, rows: number, length: number): Workload {
  const { name } = model
  return {
    ...{ name: `step/${name}`, kind: 'step', op: 'train_step' },
    ...{ shape: `${name}, ${rows} rows of ${length} tokens`, sizes: { rows, length } },
    ...{ tokens: rows * length, config: configOf(model, positionsOf(model, length)) },
  }
}

function generation(model: BenchModel, prompts: number, promptLength: number, length: number): Workload {
  const { name } = model
  return {
    ...{ name: `generate/${name}-${prompts}`, kind: 'generate', op: 'generate' },
    shape: `${name}, ${prompts} prompts of ${promptLength} x ${length} tokens`,
    sizes: { prompts, prompt_length: promptLength, completion_length: length },
    ...{ tokens: prompts * length, config: configOf(model, positionsOf(model, promptLength + length)) },
  }
}

/** Room to spare; that of a model that is known by its name as that model has it. */
function positionsOf({ modelType }: BenchModel, length: number): number {
  return modelType === 'qwen2' ? 4096 : Math.max(512, 4 * length)
}

const { S, M, halfBillion, slice } = BENCH_MODELS

/** Everything that is compared, small before large. */
const WORKLOADS: readonly Workload[] = [
  ...[1, 8, 32, 256].map((rows) => product('linear', rows, 1024, 256)),
  ...GEMM_OPS.map((op) => product(op, 4096, 1024, 256)),
  ...GEMM_OPS.map((op) => product(op, 2048, 2048, 512)),
  head(4096, 128, 256),
  head(2048, 4096, 512),
  head(2048, 151_936, 896),
  step(S, 32, 128),
  step(M, 8, 256),
  step(slice, 1, 512),
  ...[1, 8, 32, 256].map((prompts) => generation(S, prompts, 16, 64)),
  ...[1, 32].map((prompts) => generation(halfBillion, prompts, 16, 32)),
]

/** The workloads of a kind, or those that are named. */
export function chooseWorkloads(kind: string, names: readonly string[] | undefined): readonly Workload[] {
  const ofKind = WORKLOADS.filter((workload) => kind === 'all' || workload.kind === kind)
  if (ofKind.length === 0) {
    throw new CoppiceError('INVALID_ARGUMENT', 'nothing to compare with', {
      ...{ where: `bench ${kind} --compare`, expected: 'op, head, step, generate or all' },
    })
  }
  return chooseNamed(ofKind, names)
}
