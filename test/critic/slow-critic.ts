// A plain float64 critic of the Llama family, for tests only: one sequence at a time, no cache, no packing. It shares no code
// with src/ or native/, and its gradients are differences of its loss, so that no derivative was worked out by hand.

export interface SlowShape {
  hiddenSize: number
  numLayers: number
  numHeads: number
  numKvHeads: number
  headDim: number
  ropeTheta: number
  rmsNormEps: number
}

/** By Hugging Face name, row-major. */
export type SlowParameters = Record<string, Float64Array>

export interface SlowTargets {
  returns: number[]
  oldValues: number[]
  norm: number[]
  clip: number
}

/** The value of each completion token: the head on the final state of the position before it. */
export function slowValues(
  shape: SlowShape,
  parameters: SlowParameters,
  prompt: readonly number[],
  completion: readonly number[],
): number[] {
  const tokens = [...prompt, ...completion].slice(0, -1)
  const { hiddenSize, numLayers, numHeads, numKvHeads, headDim } = shape
  const of = (name: string) => parameters[name]!
  const embedding = of('model.embed_tokens.weight')
  let states = tokens.map((token) => [...embedding.subarray(token * hiddenSize, (token + 1) * hiddenSize)])
  for (let layer = 0; layer < numLayers; layer++) {
    const at = (name: string) => of(`model.layers.${layer}.${name}.weight`)
    const normed = states.map((state) => rmsnorm(state, at('input_layernorm'), shape))
    const project = (name: string, heads: number) =>
      normed.map((state, position) => {
        const flat = linear(at(`self_attn.${name}`), state)
        const split = Array.from({ length: heads }, (_, h) => flat.slice(h * headDim, (h + 1) * headDim))
        return name === 'v_proj' ? split : split.map((head) => rotate(head, position, shape))
      })
    const [q, k, v] = [
      project('q_proj', numHeads),
      project('k_proj', numKvHeads),
      project('v_proj', numKvHeads),
    ]
    const attended = q.map((heads, position) =>
      heads.flatMap((query, h) => {
        const kv = Math.floor(h / (numHeads / numKvHeads))
        const scores = Array.from(
          { length: position + 1 },
          (_, p) => dot(query, k[p]![kv]!) / Math.sqrt(headDim),
        )
        const largest = Math.max(...scores)
        const shares = scores.map((score) => Math.exp(score - largest))
        const total = sum(shares)
        return query.map((_, d) => sum(shares.map((share, p) => (share / total) * v[p]![kv]![d]!)))
      }),
    )
    states = states.map((state, position) => add(state, linear(at('self_attn.o_proj'), attended[position]!)))
    states = states.map((state) => {
      const inner = rmsnorm(state, at('post_attention_layernorm'), shape)
      const [gate, up] = [linear(at('mlp.gate_proj'), inner), linear(at('mlp.up_proj'), inner)]
      const activated = gate.map((x, i) => (x / (1 + Math.exp(-x))) * up[i]!)
      return add(state, linear(at('mlp.down_proj'), activated))
    })
  }
  const final = states.map((state) => rmsnorm(state, of('model.norm.weight'), shape))
  return completion.map((_, t) => dot(final[prompt.length - 1 + t]!, of('score.weight')))
}

/** sum norm / 2 max((v - R)^2, (clip(v) - R)^2). */
export function slowValueLoss(
  values: readonly number[],
  { returns, oldValues, norm, clip }: SlowTargets,
): number {
  return sum(
    values.map((value, t) => {
      const bounded = Math.min(Math.max(value, oldValues[t]! - clip), oldValues[t]! + clip)
      return (norm[t]! / 2) * Math.max((value - returns[t]!) ** 2, (bounded - returns[t]!) ** 2)
    }),
  )
}

/** df/dvalues[i] by a central difference. */
export function slope(values: Float64Array, i: number, f: () => number): number {
  const centre = values[i]!
  const step = 1e-5
  values[i] = centre + step
  const above = f()
  values[i] = centre - step
  const below = f()
  values[i] = centre
  return (above - below) / (2 * step)
}

function rmsnorm(state: readonly number[], weight: Float64Array, { rmsNormEps }: SlowShape): number[] {
  const scale = 1 / Math.sqrt(sum(state.map((x) => x * x)) / state.length + rmsNormEps)
  return state.map((x, i) => x * scale * weight[i]!)
}

function rotate(head: readonly number[], position: number, { headDim, ropeTheta }: SlowShape): number[] {
  const half = headDim / 2
  return head.map((x, i) => {
    const angle = position * ropeTheta ** (-(2 * (i % half)) / headDim)
    return i < half
      ? x * Math.cos(angle) - head[i + half]! * Math.sin(angle)
      : x * Math.cos(angle) + head[i - half]! * Math.sin(angle)
  })
}

function linear(weight: Float64Array, state: readonly number[]): number[] {
  const rows = weight.length / state.length
  return Array.from({ length: rows }, (_, row) =>
    dot(state, weight.subarray(row * state.length, (row + 1) * state.length)),
  )
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let total = 0
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!
  return total
}

function add(a: readonly number[], b: readonly number[]): number[] {
  return a.map((x, i) => x + b[i]!)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
