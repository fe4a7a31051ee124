import { defaultConfig } from '../../src/checkpoint.ts'
import { Policy } from '../../src/policy.ts'
import { makeBatch, type RolloutBatch } from '../../src/rollouts.ts'

/** Large, so that the head's own columns carry nearly all of the gradient. */
export const WIDTH = 512

/**
 * A policy whose logits behind a prompt of token 0 are its parameters, with these probabilities. Layers add nothing, embeddings
 * are unit vectors, so that the hidden row is sqrt(WIDTH) times one of them, and column 0 of the head, its only one, holds
 * logits / sqrt(WIDTH). A step of SGD at rate r moves a logit by r * WIDTH * -dL/dz, and by what the scale of the final norm
 * adds, which centred logits keep below a hundredth of that.
 */
export async function tablePolicy(prior: readonly number[]): Promise<Policy> {
  const vocabSize = prior.length
  const mean = prior.reduce((sum, p) => sum + Math.log(p), 0) / vocabSize
  const policy = await Policy.init({
    config: defaultConfig({
      ...{ vocabSize, hiddenSize: WIDTH, numLayers: 1, numHeads: 2, intermediateSize: 16, maxPositions: 16 },
      tieEmbeddings: false,
      rmsNormEps: 1e-10,
    }),
    threads: 1,
  })
  const embeddings = new Float32Array(vocabSize * WIDTH)
  const head = new Float32Array(vocabSize * WIDTH)
  for (let token = 0; token < vocabSize; token++) embeddings[token * WIDTH + token] = 1
  for (let token = 0; token < vocabSize; token++) {
    head[token * WIDTH] = (Math.log(prior[token]!) - mean) / Math.sqrt(WIDTH)
  }
  await policy.setParameter('model.embed_tokens.weight', embeddings)
  await policy.setParameter('lm_head.weight', head)
  for (const name of ['self_attn.o_proj', 'mlp.down_proj']) {
    const tensor = `model.layers.0.${name}.weight`
    await policy.setParameter(tensor, (await policy.parameter(tensor)).fill(0))
  }
  return policy
}

export interface TableRow {
  /** Last token of the prompt. */
  context: number
  completion: readonly number[]
  reward: number | null
  /** As recorded; those of the policy itself where they are absent. */
  logprobs?: readonly number[]
  mask?: readonly number[]
  group?: number
  temperature?: number
}

/** Rollouts of prompts of one token. */
export async function rolloutsOf(policy: Policy, rows: readonly TableRow[]): Promise<RolloutBatch> {
  const list = <A extends Int32Array | Uint8Array | Float32Array>(
    make: { from(values: number[]): A },
    of: (row: TableRow) => readonly number[],
  ) => {
    const offsets = Int32Array.from([0, ...rows.map((row) => of(row).length)])
    for (let i = 1; i < offsets.length; i++) offsets[i]! += offsets[i - 1]!
    return { values: make.from(rows.flatMap((row) => [...of(row)])), offsets }
  }
  const columns = {
    prompt_tokens: list(Int32Array, ({ context }) => [context]),
    completion_tokens: list(Int32Array, ({ completion }) => completion),
    temperature: Float32Array.from(rows, ({ temperature }) => temperature ?? 1),
  }
  const { logprobs } = await policy.score(makeBatch(rows.length, columns))
  const { offsets } = columns.completion_tokens
  const own = rows.map((row, i) => row.logprobs ?? [...logprobs.subarray(offsets[i], offsets[i + 1])])
  return makeBatch(rows.length, {
    ...columns,
    group_id: Int32Array.from(rows, ({ group }, i) => group ?? i),
    sample_index: new Int32Array(rows.length),
    completion_mask: list(Uint8Array, ({ completion, mask }) => mask ?? completion.map(() => 1)),
    logprobs: { values: Float32Array.from(own.flat()), offsets },
    finish_reason: rows.map(() => 'stop'),
    policy_step: new Int32Array(rows.length),
    reward: rows.map(({ reward }) => reward),
    verdict: rows.map(({ reward }) => (reward === null ? null : reward > 0 ? 'right' : 'wrong')),
  })
}
