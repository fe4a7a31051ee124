import { type ModelConfig, tensorShapesOf } from '../index.ts'

/** Numbers in all tensors of a model; a head that is the embedding counts once. */
export function parameterCount(config: ModelConfig): number {
  return tensorShapesOf(config).reduce((sum, { shape }) => sum + shape.reduce((size, n) => size * n, 1), 0)
}
