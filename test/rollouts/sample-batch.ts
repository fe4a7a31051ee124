import { appendColumns, makeBatch, type RolloutBatch } from '../../src/rollouts.ts'

/** Two rows of one group with every column that generation, verdicts and scoring add, and two that coppice does not know. */
export function sampleBatch(group = 0): RolloutBatch {
  const offsets = Int32Array.of(0, 2, 3)
  const rollouts = makeBatch(2, {
    prompt_id: [`p${group}`, `p${group}`],
    prompt: ['1+1=', '1+1='],
    reference: ['2', '2'],
    prompt_tokens: { values: Int32Array.of(1, 2, 1, 2), offsets: Int32Array.of(0, 2, 4) },
    group_id: Int32Array.of(group, group),
    sample_index: Int32Array.of(0, 1),
    completion_tokens: { values: Int32Array.of(5, 6, 7), offsets },
    completion: ['zwei ½', '3'],
    completion_mask: { values: Uint8Array.of(1, 1, 0), offsets },
    logprobs: { values: Float32Array.of(-0.1, -1e-7, -3.3), offsets },
    temperature: Float32Array.of(1, 0.7),
    finish_reason: Int8Array.of(0, 1),
    seed: BigUint64Array.of(2n ** 64n - 1n, BigInt(group)),
    policy_step: Int32Array.of(3, 3),
    difficulty: [1.5, null],
    tag: ['easy', null],
  })
  return appendColumns(rollouts, {
    verdict: ['right', null],
    reward: [1, null],
    advantages: {
      values: Float32Array.of(1, 1),
      offsets: Int32Array.of(0, 2, 2),
      valid: Uint8Array.of(1, 0),
    },
  })
}

/** What a batch says, without regard to how it is stored. */
export function contents(batch: RolloutBatch): unknown[] {
  return batch
    .toArray()
    .map((row) =>
      JSON.parse(
        JSON.stringify(row.toJSON(), (_, value) => (typeof value === 'bigint' ? `${value}n` : value)),
      ),
    )
}
