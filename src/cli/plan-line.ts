import { type PlanRow, totalBytes } from '../index.ts'
import { formatBytes } from './table.ts'

/** A plan of memory in one line, the largest class first. */
export function planLine(rows: readonly PlanRow[]): string {
  const largest = [...rows].sort((a, b) => b.bytes - a.bytes).filter(({ bytes }) => bytes > 0)
  const classes = largest.map(({ what, bytes }) => `${what} ${formatBytes(bytes)}`).join(', ')
  return `memory: ${formatBytes(totalBytes(rows))} (${classes})`
}
