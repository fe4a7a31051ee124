import { readFileSync } from 'node:fs'

/**
 * The most memory that this program has held, in MiB. Of this program alone: the kernel's resource usage, which is what other
 * systems have, also counts what the process was before it became this program.
 */
export function peakRssMib(): number {
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
    if (found !== null) return Number(found[1]) / 1024
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS / 1024
}
