import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { textTable } from '../src/cli/table.ts'
import { createVerifierPool, type Sample, type VerifierSource, type VerifyOptions } from '../src/index.ts'

// Answers a second of every built-in verifier, through the pool that training uses:
//   node --import tsx bench/verifiers.ts [--json] [--answers 4000]
// Each row is a pool of its own: one round to warm up, five that are timed. `cache` off asks for every answer; `repeated` has groups
// of eight equal completions and the cache that training has.

const ROUNDS = 5
const isJson = process.argv.includes('--json')
const answersAt = process.argv.indexOf('--answers')
const answers = answersAt === -1 ? 4000 : Number(process.argv[answersAt + 1])
if (!Number.isInteger(answers) || answers < 8) throw new Error('--answers takes a whole number from 8')

type Content = readonly [reference: string, completion: string]

const reasoning =
  'We add what is given and look at what is left, step by step, until nothing is open. '.repeat(6)
const schema = JSON.stringify({
  type: 'object',
  required: ['name', 'age'],
  properties: { name: { type: 'string', maxLength: 80 }, age: { type: 'integer', minimum: 0 } },
})

interface Pair {
  reference: string
  response: string
}
const pairs = (await readFile(new URL('../test/verifiers/math/tuning.jsonl', import.meta.url), 'utf8'))
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Pair)

/** Right and wrong answers and some without one, as models give them. */
const contents: Readonly<Record<string, (i: number) => Content>> = {
  math(i) {
    const { reference, response } = pairs[i % pairs.length]!
    return [reference, response]
  },
  numeric: (i) => [String(i % 97), `${reasoning}\n#### ${i % 89}`],
  choice: (i) => ['ABCD'[i % 4]!, `${reasoning}The answer is (${'ABC?'[i % 4]}).`],
  exact: (i) => [String(i % 7), String(i % 5)],
  countdown: (i) => ['3 5 7 2 > 24', `${reasoning}<answer>3 * 5 + 7 + ${i % 4}</answer>`],
  walk: (i) => ['[12] [0] [01]', ['1 0 2', '0 1 2', '2 0 1', 'x'][i % 4]!],
  arithmetic: (i) => ['(3+4)*2-5', `7*2-5=14-5=${7 + (i % 4)}`],
  format: (i) => ['', `<think>${reasoning}</think><answer>${i}${i % 3 === 0 ? '' : '</answer>'}`],
  'format:template=boxed': (i) => ['', `${reasoning}\\boxed{${i % 3 === 0 ? '' : i}}`],
  'format:pattern=^\\w[^<]*$': (i) => ['', `${reasoning}${i % 3 === 0 ? '<' : ''}`],
  regex: (i) => ['^[A-Z].*\\d$', `${reasoning}${i % 3 === 0 ? 'x' : i}`],
  'json-schema': (i) => [
    schema,
    `${reasoning}\n\`\`\`json\n{"name": "n${i}", "age": ${i % 3 === 0 ? '"x"' : i}}\n\`\`\``,
  ],
  'file.mjs': (i) => [String(i % 7), String(i % 5)],
}

const none = new Int32Array(0)
const samplesOf = (name: string, group: number): Sample[] =>
  Array.from({ length: answers }, (_, i) => {
    const [reference, completion] = contents[name]!(Math.floor(i / group))
    return {
      ...{ promptId: String(i), prompt: String(Math.floor(i / group)), reference, completion },
      ...{ promptTokens: none, completionTokens: new Int32Array(120), finishReason: 'stop' },
    }
  })

interface Row {
  verifier: string
  cache: 'off' | 'repeated'
  concurrency: number
  p20_ms: string
  p50_ms: string
  p80_ms: string
  /** Processor time of the host for an answer: what is left of a time when other work shares the machine. */
  host_cpu_ms: string
  answers_per_second: number
  cached_share: string
}

/** Milliseconds are of one answer: a round's time by its answers. */
async function measure(
  verifier: string,
  source: VerifierSource,
  samples: (round: number) => readonly Sample[],
  cache: Row['cache'],
  options: VerifyOptions,
): Promise<Row> {
  const { concurrency = 1 } = options
  await using pool = await createVerifierPool(source, { ...options, ...(cache === 'off' && { cacheMb: 0 }) })
  await pool.verify(samples(0))
  const before = pool.cached
  const times: number[] = []
  const spent = process.cpuUsage()
  for (let round = 1; round <= ROUNDS; round++) {
    const given = samples(round)
    const start = performance.now()
    await pool.verify(given)
    times.push((performance.now() - start) / given.length)
  }
  const { user, system } = process.cpuUsage(spent)
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.round(share * (ROUNDS - 1))]!
  return {
    ...{ verifier, cache, concurrency },
    p20_ms: at(0.2).toFixed(4),
    p50_ms: at(0.5).toFixed(4),
    p80_ms: at(0.8).toFixed(4),
    host_cpu_ms: ((user + system) / 1000 / (ROUNDS * answers)).toFixed(4),
    answers_per_second: Math.round(1000 / at(0.5)),
    cached_share: ((pool.cached - before) / (ROUNDS * answers)).toFixed(3),
  }
}

const rows: Row[] = []
const machine = { machine: cpus()[0]?.model, cores: availableParallelism(), node: process.version, answers }
console.log(isJson ? JSON.stringify(machine) : Object.values(machine).join(', '))

async function report(row: Promise<Row>): Promise<void> {
  rows.push(await row)
  if (isJson) console.log(JSON.stringify(rows.at(-1)))
}

const folder = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
try {
  const file = join(folder, 'file.mjs')
  await writeFile(file, 'export default ({ reference, completion }) => completion === reference ? 1 : 0')
  const runsApart = ['regex', 'json-schema', 'file.mjs', 'format:pattern=^\\w[^<]*$']
  for (const name of Object.keys(contents)) {
    const source = name === 'file.mjs' ? file : name
    const [single, repeated] = [samplesOf(name, 1), samplesOf(name, 8)]
    for (const concurrency of runsApart.includes(name) ? [1, availableParallelism()] : [1])
      await report(measure(name, source, () => single, 'off', { concurrency }))
    // A prompt of its own for every round: only what repeats within the round is known.
    const fresh = (round: number) =>
      repeated.map((sample) => ({ ...sample, prompt: `${round}:${sample.prompt}` }))
    await report(measure(name, source, fresh, 'repeated', { concurrency: 1, cacheable: true }))
  }
  const three = {
    verifiers: ['math', 'format', 'overlong:maxLength=128,cache=32'],
    rewardWeights: [1, 0.1, 0.5],
  }
  const single = samplesOf('math', 1)
  await report(measure('math + format + overlong', three, () => single, 'off', { concurrency: 1 }))
} finally {
  await rm(folder, { recursive: true })
}
if (!isJson) {
  const names = Object.keys(rows[0]!) as (keyof Row)[]
  console.log(textTable([names, ...rows.map((row) => names.map((name) => String(row[name])))]))
}
