/** About how much a value holds, nested ones included: characters of its texts, bytes of all else. */
export function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  if (ArrayBuffer.isView(value)) return value.byteLength
  let size = 8
  for (const item of Object.values(value)) size += sizeOf(item)
  return size
}
