/** Adds what does not show, such as colour, to a cell that has its width. */
export type PaintCell = (cell: string, row: number, column: number) => string

/** Columns aligned by spaces: the first to the left, the others as asked. */
export function textTable(
  rows: readonly (readonly string[])[],
  others: 'left' | 'right' = 'right',
  paint: PaintCell = (cell) => cell,
): string {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    })
  }
  const pad = (cell: string, column: number) =>
    column === 0 || others === 'left' ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
  const line = (row: readonly string[], i: number) =>
    row.map((cell, column) => paint(pad(cell, column), i, column)).join('  ')
  return rows.map((row, i) => line(row, i).trimEnd()).join('\n')
}

/** `1,234,567`. */
export function formatCount(value: number): string {
  return value.toLocaleString('en-US')
}

/** `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`
}

/** A fraction from 0 to 1 as `63.2`. */
export function formatPercent(fraction: number): string {
  return (100 * fraction).toFixed(1)
}
