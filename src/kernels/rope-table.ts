/** Cosines and then sines of each row's angles, [rows, headDim]: position / theta^(2 j / headDim) for j below headDim / 2. */
export function ropeTable(positions: Int32Array, headDim: number, theta: number): Float32Array {
  const table = new Float32Array(positions.length * headDim)
  const half = headDim / 2
  const divisors = Float64Array.from({ length: half }, (_, j) => theta ** ((2 * j) / headDim))
  for (const [row, position] of positions.entries()) {
    for (let j = 0; j < half; j++) {
      const angle = position / divisors[j]!
      table[row * headDim + j] = Math.cos(angle)
      table[row * headDim + half + j] = Math.sin(angle)
    }
  }
  return table
}
