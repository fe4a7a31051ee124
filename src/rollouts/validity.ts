/** A validity bitmap with its count of nulls, as makeData takes them. */
export function validity(
  rows: number,
  isValid: (row: number) => boolean,
): { nullBitmap: Uint8Array; nullCount: number } {
  const nullBitmap = new Uint8Array(Math.ceil(rows / 64) * 8)
  let nullCount = rows
  for (let row = 0; row < rows; row++) {
    if (!isValid(row)) continue
    nullBitmap[row >> 3]! |= 1 << (row & 7)
    nullCount--
  }
  return { nullBitmap, nullCount }
}
