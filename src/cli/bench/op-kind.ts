import { Kernels } from '../../index.ts'
import type { BenchCase, BenchKind } from './bench-case.ts'
import { benchRow } from './bench-row.ts'
import { peakRssMib } from './peak-rss.ts'
import { rowWithFloor } from './peaks.ts'
import { timesOfOp } from './time-op.ts'

type OpCase = [op: string, shape: Record<string, number>, flops: number | undefined]

const product = (rows: number, cols: number, inner: number): OpCase[] => {
  const flops = 2 * rows * cols * inner
  const shape = { rows, cols, inner }
  return [
    ['linear', shape, flops],
    ['linear_backward_input', shape, flops],
    ['linear_backward_weight', shape, flops],
  ]
}
const attention = (sequences: number, length: number, heads: number, size: number): OpCase[] => {
  const shape = { sequences, length, num_heads: heads, num_kv_heads: heads, head_dim: size }
  const forward = 2 * sequences * heads * size * length * (length + 1)
  return [
    ['attention', shape, forward],
    ['attention_backward', shape, 2.5 * forward],
  ]
}

const OPS: readonly OpCase[] = [
  ...[1, 8, 32, 256].map(
    (rows): OpCase => ['linear', { rows, cols: 1024, inner: 256 }, 2 * rows * 1024 * 256],
  ),
  ...product(4096, 1024, 256),
  ...product(2048, 2048, 512),
  ...attention(32, 128, 4, 64),
  ...attention(8, 256, 8, 64),
  ['rmsnorm', { rows: 4096, cols: 256 }, undefined],
  ['rmsnorm_backward', { rows: 4096, cols: 256 }, undefined],
  ['swiglu', { rows: 4096, cols: 1024 }, undefined],
  ['swiglu_backward', { rows: 4096, cols: 1024 }, undefined],
  ['sample', { rows: 256, vocab: 4096, cols: 512 }, 2 * 256 * 4096 * 512],
  ['adamw', { elements: 4_000_000 }, undefined],
]

function opCase([op, shape, flops]: OpCase): BenchCase {
  const name = `op/${op}-${Object.values(shape).join('x')}`
  return {
    name,
    async *run({ backend, timing, isQuick }) {
      const { dtype = 'f32', ...options } = backend
      await using kernels = await Kernels.open(options)
      const used = isQuick ? quickShape(shape) : shape
      const seconds = await timesOfOp(kernels, op, used, dtype, timing)
      const measured = { op, shape: describeShape(used), seconds, peakRssMib: peakRssMib() }
      const context = { ...kernels.info, dtype, case: name }
      if (flops === undefined || isQuick) yield benchRow(context, measured, 'bytes are not counted')
      else yield rowWithFloor(context, { ...measured, flops }, [{ flops, bytes: 0 }])
    },
  }
}

function quickShape(shape: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(shape).map(([size, value]) => [size, Math.min(32, value)]))
}

/** `rows 8, cols 16`. */
export function describeShape(shape: Readonly<Record<string, number>>): string {
  return Object.entries(shape)
    .map(([name, size]) => `${name} ${size}`)
    .join(', ')
}

export const OP_KIND: BenchKind = {
  describe: 'single ops, forward and backward',
  cases: () => OPS.map(opCase),
}
