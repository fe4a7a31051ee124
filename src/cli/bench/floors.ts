import type { ComputeDtype } from '../../index.ts'

// What work takes at least on a machine: its arithmetic at the machine's peak or its traffic at the memory's, whichever is longer. The
// counts are those of docs/bench.md, and of the work itself: what an implementation computes twice is not counted twice.

/** Sizes of a decoder: `headDim` features a head, gate and up of `intermediateSize` each. */
export interface ModelSize {
  hiddenSize: number
  numLayers: number
  numHeads: number
  numKvHeads: number
  headDim: number
  intermediateSize: number
  vocabSize: number
}

/** Floating-point operations, a multiply-add being two, and bytes that have to come from or go to memory. */
export interface Work {
  flops: number
  bytes: number
}

/** What the machine does at best: 10^9 floating-point operations, and 10^9 bytes, a second. */
export interface Peaks {
  gflops: number
  gbytes: number
}

/** Tokens that pass through the layers, tokens of them that are predicted, and keys that all of them attend to. */
export interface Passed {
  tokens: number
  predicted: number
  keys: number
}

const BYTES: Readonly<Record<ComputeDtype, number>> = { f32: 4, bf16: 2 }
/** Of a number in the key/value cache. */
const CACHE_BYTES = 4

/** Parameters of a layer's matrices: q, k, v, out, gate, up, down. */
function layerParameters(size: ModelSize): number {
  const { hiddenSize, numHeads, numKvHeads, headDim, intermediateSize } = size
  return hiddenSize * headDim * (2 * numHeads + 2 * numKvHeads) + 3 * hiddenSize * intermediateSize
}

/** Products of the layers, products of the head, and scores and values of the attention. */
export function forwardFlops(size: ModelSize, { tokens, predicted, keys }: Passed): number {
  const { hiddenSize, numLayers, numHeads, headDim, vocabSize } = size
  const layers = 2 * tokens * numLayers * layerParameters(size)
  const head = 2 * predicted * vocabSize * hiddenSize
  return layers + head + 4 * keys * numLayers * numHeads * headDim
}

/** The backward pass of a product is two products of the same size, of scores and values two each as well. */
export function trainingFlops(size: ModelSize, passed: Passed): number {
  return 3 * forwardFlops(size, passed)
}

/** Rows of `length` tokens that are all predicted, from one token before them. */
export function passedRows(rows: number, length: number): Passed {
  const tokens = rows * length
  return { tokens, predicted: tokens, keys: rows * keysOfSpan(0, length) }
}

/**
 * Groups of completions behind a prompt. The last token of a completion predicts nothing and is not computed; a shared prompt is
 * computed once.
 */
export function passedGroups(
  groups: number,
  samples: number,
  promptLength: number,
  completionLength: number,
  isShared: boolean,
): Passed {
  const prompts = isShared ? 1 : samples
  const tokens = prompts * promptLength + samples * (completionLength - 1)
  const keys =
    prompts * keysOfSpan(0, promptLength) + samples * keysOfSpan(promptLength, completionLength - 1)
  return { tokens: groups * tokens, predicted: groups * samples * completionLength, keys: groups * keys }
}

/** Keys that `length` tokens from position `begin` on attend to, themselves included. */
function keysOfSpan(begin: number, length: number): number {
  return length * begin + (length * (length + 1)) / 2
}

/**
 * The token steps of a generation in which all sequences live from the first step to the last: the prompts, of which each is computed
 * once, and then one token of every sequence at a time. A step reads all parameters once and the keys and values before it, those
 * of a shared prompt once.
 */
export function generationSteps(
  size: ModelSize,
  dtype: ComputeDtype,
  prompts: number,
  samples: number,
  promptLength: number,
  completionLength: number,
): Work[] {
  const { hiddenSize, numLayers, numKvHeads, headDim, vocabSize } = size
  const parameters = BYTES[dtype] * (numLayers * layerParameters(size) + vocabSize * hiddenSize)
  const position = 2 * numLayers * numKvHeads * headDim * CACHE_BYTES
  const sequences = prompts * samples
  const first = {
    tokens: prompts * promptLength,
    predicted: prompts,
    keys: prompts * keysOfSpan(0, promptLength),
  }
  const steps: Work[] = [
    { flops: forwardFlops(size, first), bytes: parameters + prompts * promptLength * position },
  ]
  for (let before = 1; before < completionLength; before++) {
    const keys = sequences * (promptLength + before)
    const read = prompts * promptLength + sequences * before
    steps.push({
      flops: forwardFlops(size, { tokens: sequences, predicted: sequences, keys }),
      bytes: parameters + read * position,
    })
  }
  return steps
}

/** Seconds that the work takes at least, one piece after the other. */
export function floorSeconds(work: readonly Work[], peaks: Peaks): number {
  return work.reduce(
    (sum, { flops, bytes }) => sum + Math.max(flops / peaks.gflops, bytes / peaks.gbytes) / 1e9,
    0,
  )
}
