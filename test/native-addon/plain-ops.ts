// The ops of `kernels` as their formulas say, in double precision and with nothing but loops: what native results are held to.

type Values = ArrayLike<number>

const sum = (count: number, of: (i: number) => number) => {
  let total = 0
  for (let i = 0; i < count; i++) total += of(i)
  return total
}

const grid = (rows: number, cols: number, of: (row: number, col: number) => number) =>
  Float64Array.from({ length: rows * cols }, (_, i) => of(Math.floor(i / cols), i % cols))

export function linear(inp: Values, weight: Values, bias: Values | undefined, inner: number): Float64Array {
  const cols = weight.length / inner
  return grid(
    inp.length / inner,
    cols,
    (r, c) => sum(inner, (i) => inp[r * inner + i]! * weight[c * inner + i]!) + (bias?.[c] ?? 0),
  )
}

export function rmsnorm(inp: Values, weight: Values, eps: number): Float64Array {
  const cols = weight.length
  return grid(inp.length / cols, cols, (r, c) => {
    const square = sum(cols, (i) => inp[r * cols + i]! ** 2) / cols
    return (inp[r * cols + c]! * weight[c]!) / Math.sqrt(square + eps)
  })
}

export function swiglu(gateUp: Values, cols: number): Float64Array {
  return grid(gateUp.length / cols / 2, cols, (r, c) => {
    const [gate, up] = [gateUp[r * 2 * cols + c]!, gateUp[r * 2 * cols + cols + c]!]
    return (gate / (1 + Math.exp(-gate))) * up
  })
}

export function rope(inp: Values, positions: Values, headDim: number, theta: number): Float64Array {
  const half = headDim / 2
  return grid(positions.length, inp.length / positions.length, (r, c) => {
    const [row, d] = [(r * inp.length) / positions.length, c % headDim]
    const angle = positions[r]! / theta ** ((2 * (d % half)) / headDim)
    const other = inp[row + (d < half ? c + half : c - half)]!
    return inp[row + c]! * Math.cos(angle) + (d < half ? -other : other) * Math.sin(angle)
  })
}

export interface PlainAttention {
  q: Values
  k: Values
  v: Values
  offsets: Int32Array
  numHeads: number
  numKvHeads: number
  headDim: number
}

export function attention({ q, k, v, offsets, numHeads, numKvHeads, headDim }: PlainAttention): Float64Array {
  const [cols, kvCols] = [numHeads * headDim, numKvHeads * headDim]
  return grid(q.length / cols, cols, (row, col) => {
    const head = Math.floor(col / headDim)
    const kv = Math.floor(head / (numHeads / numKvHeads)) * headDim
    const begin = offsets.findLast((offset) => offset <= row)!
    const scores = Array.from({ length: row - begin + 1 }, (_, i) =>
      Math.exp(
        sum(headDim, (d) => q[row * cols + head * headDim + d]! * k[(begin + i) * kvCols + kv + d]!) /
          Math.sqrt(headDim),
      ),
    )
    const total = sum(scores.length, (i) => scores[i]!)
    return sum(scores.length, (i) => (scores[i]! / total) * v[(begin + i) * kvCols + kv + (col % headDim)]!)
  })
}

export function logprobGather(
  hidden: Values,
  head: Values,
  targets: Int32Array,
  temperature: Values,
): { logprobs: Float64Array; entropies: Float64Array } {
  const cols = hidden.length / targets.length
  const vocab = head.length / cols
  const logprobs = new Float64Array(targets.length)
  const entropies = new Float64Array(targets.length)
  for (const [row, target] of targets.entries()) {
    const z = Array.from(
      { length: vocab },
      (_, v) => sum(cols, (i) => hidden[row * cols + i]! * head[v * cols + i]!) / temperature[row]!,
    )
    const lse = Math.log(sum(vocab, (v) => Math.exp(z[v]!)))
    logprobs[row] = z[target]! - lse
    entropies[row] = sum(vocab, (v) => Math.exp(z[v]! - lse) * (lse - z[v]!))
  }
  return { logprobs, entropies }
}

/** Gradient of `loss` at `at` by central differences. */
export function differences(loss: (values: Float64Array) => number, at: Values): Float64Array {
  const values = Float64Array.from(at as ArrayLike<number>)
  const step = 1e-5
  return values.map((value, i) => {
    values[i] = value + step
    const above = loss(values)
    values[i] = value - step
    const below = loss(values)
    values[i] = value
    return (above - below) / (2 * step)
  })
}

export const dot = (a: Values, b: Values) => sum(a.length, (i) => a[i]! * b[i]!)
