// Tables of the rows of `coppice bench`.

/** Below this share of its floor an op's row needs a reason. */
const ENOUGH = 0.7
/** Kinds whose floor is a file's own reading rate, not the machine's. */
const READ_FILES = ['load', 'arrow']
/** Kinds that are held against the machine's peaks, and so need one. */
const EXPLAINED = ['op', 'head', 'step', 'slice', 'generate']

const TITLES = {
  op: 'Ops',
  head: 'Head',
  step: 'Training steps',
  slice: 'Training steps of a slice of Qwen2.5-0.5B',
  generate: 'Generation',
  load: 'Opening a checkpoint',
  arrow: 'Rollouts in Arrow and in files',
  scaling: 'Scaling',
  grade: 'Verifiers',
  eventloop: 'Event loop',
}

/** Columns that are shown where any row of a table has them. */
const COLUMNS = [
  ['median', (row) => `${row.p50_ms} ms`],
  ['20th to 80th percentile', (row) => `${row.p20_ms} to ${row.p80_ms}`],
  ['GFLOP/s', (row) => row.gflops ?? undefined],
  ['GB/s', (row) => row.gbytes_per_second],
  ['tokens/s', (row) => row.tokens_per_second],
  ['rows/s', (row) => row.rows_per_second],
  ['answers/s', (row) => row.answers_per_second],
  ['columns copied', (row) => row.copied_columns],
  ['99th percentile', (row) => row.p99_ms && `${row.p99_ms} ms`],
  ['floor', (row) => row.floor_ms && `${row.floor_ms} ms`],
  ['floor of', (row) => row.peak_of],
  [
    'share of peak',
    (row) => (row.peak_share === null ? undefined : `${(100 * row.peak_share).toFixed(1)} %`),
  ],
  [
    "product's loop",
    (row) => row.product_gflops && `${((100 * row.product_gflops) / row.peak_gflops).toFixed(0)} % of peak`,
  ],
  ['memory', (row) => `${row.peak_rss_mib} MiB`],
]

const kindOf = (row) => row.case.split('/')[0]

/** Whether a row is slow enough to need a reason. */
function needsReason(row) {
  return EXPLAINED.includes(kindOf(row)) && row.peak_share !== null && row.peak_share < ENOUGH
}

/**
 * Why a row is below ENOUGH, by the first entry that fits: its `op` is the row's, its `dtype` too where it has one, and its `shape`, a
 * pattern, is found in the row's. Empty where no reason is needed, undefined where one is and there is none.
 */
export function reasonFor(row, reasons) {
  if (!needsReason(row)) return ''
  const fits = ({ op, dtype, shape }) =>
    op === row.op &&
    (dtype === undefined || dtype === row.dtype) &&
    (shape === undefined || new RegExp(shape).test(row.shape))
  return reasons.find(fits)?.why
}

/** The newest row of each thing that was measured, in the order in which things were measured first. */
function newest(rows) {
  const byKey = new Map()
  for (const row of rows) byKey.set([row.case, row.op, row.shape, row.dtype, row.threads].join('; '), row)
  return [...byKey.values()]
}

const cells = (row) => `| ${row.map((cell) => String(cell ?? '').replaceAll('|', '\\|')).join(' | ')} |`

function tableOf(rows, reasons) {
  const shown = COLUMNS.filter(([, value]) => rows.some((row) => value(row) !== undefined))
  const explains = rows.some(needsReason)
  const header = [
    'op',
    'shape',
    'type',
    'threads',
    ...shown.map(([name]) => name),
    ...(explains ? ['why'] : []),
  ]
  const rule = header.map((name, i) => (i < 3 || name === 'why' ? '---' : '---:'))
  const body = rows.map((row) => [
    ...[row.op, row.shape, row.dtype, row.threads],
    ...shown.map(([, value]) => value(row)),
    ...(explains ? [reasonFor(row, reasons) ?? '**no reason known**'] : []),
  ])
  return [header, rule, ...body].map(cells).join('\n')
}

/** Under which conditions: one line for each that the rows name. */
function conditionsOf(rows) {
  const lines = rows.map(
    ({ machine, cores, isa, commit, versions }) =>
      `${machine}, ${cores} cores, ${isa}, commit ${commit}, Node ${versions.node}`,
  )
  const peaks = (key, unit) => {
    const values = rows.flatMap((row) =>
      row[key] === undefined || READ_FILES.includes(kindOf(row)) ? [] : [row[key]],
    )
    return values.length === 0 ? [] : [`${Math.min(...values)} to ${Math.max(...values)} ${unit}`]
  }
  const all = [...peaks('peak_gflops', 'GFLOP/s'), ...peaks('peak_gbytes', 'GB/s')]
  const sentence = all.length === 0 ? '' : `\n\nPeaks that the runs measured: ${all.join(', ')}.`
  return `${[...new Set(lines)].join('\n')}${sentence}`
}

/** One table a kind. */
export function tablesOf(rows, reasons) {
  const last = newest(rows)
  const measured = last.filter(({ isa }) => isa !== 'JavaScript')
  const kinds = Object.keys(TITLES).filter((kind) => last.some((row) => kindOf(row) === kind))
  const tables = kinds.map(
    (kind) =>
      `### ${TITLES[kind]}\n\n${tableOf(
        last.filter((row) => kindOf(row) === kind),
        reasons,
      )}`,
  )
  return [conditionsOf(measured.length > 0 ? measured : last), ...tables].join('\n\n')
}
