import type { WriteStream } from 'node:tty'

/** Where long work stands. `done` of `total` units; `figures` are the few live numbers worth a look. */
export interface Progress {
  /** What is being done, in two or three words. */
  label: string
  done: number
  total: number
  /** Shows the share in percent instead of the counts, whose unit means nothing to people. */
  percent?: boolean
  figures?: Readonly<Record<string, string | number>>
}

export interface ProgressWriter {
  /** Takes the newest state; draws it when it is due. */
  update(progress: Progress): void
  /** Writes a line of its own above the progress line. */
  note(line: string): void
  /** Ends the progress line; later updates start a new one. */
  end(): void
}

/** Where progress is written: a terminal gets one line that moves, everything else plain lines. */
export interface ProgressOutput {
  write(text: string): unknown
  isTTY?: boolean | undefined
  columns?: number | undefined
}

export interface ProgressOptions {
  /** Default: stderr. */
  output?: ProgressOutput | WriteStream
  /** Milliseconds, from any start; for tests. */
  now?: () => number
  /** Milliseconds between plain lines where the output is no terminal. Default 10,000. */
  plainIntervalMs?: number
}

const TERMINAL_INTERVAL_MS = 100
const BAR_CELLS = 20

/**
 * Shows progress with an estimate of the remaining time: one line that redraws itself on a terminal, plain lines from time
 * to time elsewhere.
 */
export function createProgressWriter(options: ProgressOptions = {}): ProgressWriter {
  const output = options.output ?? process.stderr
  const now = options.now ?? (() => performance.now())
  const terminal = output.isTTY === true
  const interval = terminal ? TERMINAL_INTERVAL_MS : (options.plainIntervalMs ?? 10_000)
  let estimate: TimeLeft | undefined
  let label = ''
  let last: Progress | undefined
  let drawnAt = Number.NEGATIVE_INFINITY
  let open = false

  const draw = (progress: Progress) => {
    const line = progressLine(progress, estimate!.elapsedMs(now()), estimate!.leftMs(now()), terminal)
    if (terminal) output.write(`\r\u001b[2K${cut(line, (output.columns || 80) - 1)}`)
    else output.write(`${line}\n`)
    drawnAt = now()
    last = undefined
    open = true
  }
  const end = () => {
    if (last !== undefined) draw(last)
    if (terminal && open) output.write('\n')
    open = false
    estimate = undefined
    label = ''
  }
  return {
    update(progress) {
      if (estimate === undefined || progress.label !== label) {
        if (estimate !== undefined) end()
        estimate = new TimeLeft(now(), progress.done)
        label = progress.label
        drawnAt = terminal ? Number.NEGATIVE_INFINITY : now()
      }
      estimate.advance(now(), progress.done, progress.total)
      last = progress
      if (now() - drawnAt >= interval) draw(progress)
    },
    note(line) {
      if (terminal && open) output.write('\r\u001b[2K')
      output.write(`${line}\n`)
      open = false
    },
    end,
  }
}

/**
 * Remaining time from the pace so far, the recent pace counting more: the pace of a run drifts. Time and units are
 * averaged apart, so that a slow start over few units (loading, the first batch) does not pass for the pace of all.
 */
export class TimeLeft {
  readonly #startMs: number
  #atMs: number
  #done: number
  #total = 0
  #recentMs = 0
  #recentUnits = 0

  constructor(nowMs: number, done: number) {
    this.#startMs = nowMs
    this.#atMs = nowMs
    this.#done = done
  }

  advance(nowMs: number, done: number, total: number): void {
    this.#total = total
    if (done <= this.#done) return
    const units = done - this.#done
    // What came before shrinks by this much for every unit that follows, at least five of them in all.
    const keep = Math.exp(-units / Math.max(5, total / 10))
    this.#recentMs = keep * this.#recentMs + (nowMs - this.#atMs)
    this.#recentUnits = keep * this.#recentUnits + units
    this.#atMs = nowMs
    this.#done = done
  }

  elapsedMs(nowMs: number): number {
    return nowMs - this.#startMs
  }

  /** Undefined until a first unit is done. */
  leftMs(nowMs: number): number | undefined {
    if (this.#recentUnits === 0) return undefined
    const msPerUnit = this.#recentMs / this.#recentUnits
    return Math.max(0, msPerUnit * (this.#total - this.#done) - (nowMs - this.#atMs))
  }
}

function progressLine(
  progress: Progress,
  elapsedMs: number,
  leftMs: number | undefined,
  terminal: boolean,
): string {
  const { label, done, total, figures = {} } = progress
  const share = total > 0 ? Math.min(1, done / total) : 0
  const filled = Math.round(share * BAR_CELLS)
  const bar = terminal ? ` ${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)}` : ''
  const time =
    done >= total
      ? `in ${formatDuration(elapsedMs)}`
      : leftMs === undefined
        ? formatDuration(elapsedMs)
        : `${formatDuration(leftMs)} left`
  const numbers = Object.entries(figures).map(([name, value]) => `${name} ${formatFigure(value)}`.trimEnd())
  const count =
    progress.percent === true ? `${Math.floor(100 * share)} %` : `${formatCount(done)}/${formatCount(total)}`
  return [`${label}${bar} ${count}`, time, ...numbers].join('  ')
}

function formatFigure(value: string | number): string {
  if (typeof value === 'string') return value
  if (Number.isInteger(value)) return formatCount(value)
  return Math.abs(value) >= 0.001 && Math.abs(value) < 10_000 ? value.toFixed(3) : value.toExponential(1)
}

function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** `42s`, `3m05s`, `2h07m`. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  const pad = (value: number) => String(value).padStart(2, '0')
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${pad(seconds % 60)}s`
  return `${Math.floor(seconds / 3600)}h${pad(Math.floor((seconds % 3600) / 60))}m`
}

/** Lines on a terminal must not wrap, or they cannot be redrawn. */
function cut(line: string, columns: number): string {
  return line.length <= columns ? line : `${line.slice(0, Math.max(0, columns - 1))}…`
}
