import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { ObjectiveKind, ObjectiveSpec } from '../../src/objective-options.ts'
import {
  assignAdvantages,
  OBJECTIVE_KINDS,
  OBJECTIVE_OPTION_NAMES,
  objectiveOptionNames,
  resolveObjective,
} from '../../src/objectives.ts'
import { policyLoss } from '../../src/policy-loss.ts'
import { plainKernel } from './plain-kernel.ts'

// docs/objectives.md against the code: every objective, option, default and number that stands there.

const TEXT = readFileSync(new URL('../../docs/objectives.md', import.meta.url), 'utf8')
const COMMON = resolveObjective({ kind: 'psr' })

/** The cells of the table whose first header is `first`, row by row, below the header. */
function tableOf(first: string, text = TEXT): string[][] {
  const at = text.indexOf(`\n| ${first} |`)
  assert.notEqual(at, -1, `no table with '${first}'`)
  const lines = text
    .slice(at + 1)
    .split(/\n(?!\|)/)[0]!
    .split('\n')
  return lines.slice(2).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

/** An objective by name, with the one option that cannot have a default. */
function specOf(kind: string): ObjectiveSpec {
  return { kind, ...(kind === 'dr-grpo' && { constant: 1 }) } as ObjectiveSpec
}

/** `name: value` of code spans, as JSON has the value. */
function optionsIn(cell: string): Record<string, unknown> {
  return Object.fromEntries(
    [...cell.matchAll(/`(\w+): ([^`]+)`/g)].map(([, name, value]) => [name, JSON.parse(value!)]),
  )
}

test('the table has every objective with its options and defaults, and links to its example', () => {
  const rows = tableOf('objective')
  const names = rows.map(([name]) => /^\[`(.+)`\]\(#(.+)\)$/.exec(name!)!)
  assert.deepEqual(
    names.map(([, kind]) => kind),
    [...OBJECTIVE_KINDS],
  )
  for (const [i, [, kind, anchor]] of names.entries()) {
    const resolved: Record<string, unknown> = { ...resolveObjective(specOf(kind!)), constant: null }
    const ownNames = objectiveOptionNames(kind as ObjectiveKind).filter(
      (name) => name !== 'kind' && !OBJECTIVE_OPTION_NAMES.includes(name as never),
    )
    const own = Object.fromEntries(ownNames.map((name) => [name, resolved[name]]))
    assert.deepEqual(optionsIn(rows[i]![2]!), own, `${kind}: own options`)
    const differing = OBJECTIVE_OPTION_NAMES.filter((name) => resolved[name] !== COMMON[name])
    assert.deepEqual(
      optionsIn(rows[i]![3]!),
      Object.fromEntries(differing.map((name) => [name, resolved[name]])),
      `${kind}: otherwise`,
    )
    assert.match(rows[i]![4]!, /^(arXiv \d{4}\.\d{5}|Williams, 1992)/, `${kind}: source`)
    assert.equal(anchor, kind === 'reinforce++' ? 'reinforce-1' : kind!.replace(/[^a-z-]/g, ''))
    assert.ok(TEXT.includes(`\n### ${kind}\n`), `${kind}: example`)
  }
})

test('the table of common options has all of them with their defaults', () => {
  const expected = OBJECTIVE_OPTION_NAMES.map((name) => [
    `\`${name}\``,
    name === 'epsilonHigh' ? '`epsilon`' : `\`${JSON.stringify(COMMON[name])}\``,
  ])
  assert.deepEqual(
    tableOf('option').map(([name, value]) => [name, value]),
    expected,
  )
})

const [rewards, baselineRewards, lengths] = tableOf('completion').map(([, ...cells]) =>
  cells.map(Number),
) as [number[], number[], number[]]
const groupIds = ['a', 'a', 'a', 'a', 'b', 'b', 'b', 'b', 'c', 'c']

/** Four places, as short as they can be. */
const figure = (value: number): string => (Math.round(value * 1e4) / 1e4 || 0).toString()

/** The table of an example, as it must stand in the text. */
function exampleTable(spec: ObjectiveSpec): string {
  const logprobs = lengths.map((length) => Array<number>(length).fill(-1))
  const offsets = [0]
  for (const length of lengths) offsets.push(offsets.at(-1)! + length)
  const { keptRows, rowAdvantages } = assignAdvantages(
    { rewards, groupIds, baselineRewards, completions: { offsets } },
    resolveObjective(spec),
  )
  // Those of a critic at its beginning.
  const values = lengths.map((length) => Array<number>(length).fill(0))
  const batch = { logprobs, rewards, groupIds, baselineRewards, values }
  const { tokenGradients } = policyLoss(batch, spec, plainKernel)
  const kept = (row: number, value: number) => (keptRows.includes(row) ? figure(value) : '-')
  const line = (name: string, cells: readonly string[]) => `| ${[name, ...cells].join(' | ')} |`
  const names = groupIds.map((group, row) => `${group}${row - groupIds.indexOf(group) + 1}`)
  return [
    line('', names).replace('|  |', '| |'),
    `|${'---|'.repeat(names.length + 1)}`,
    line(
      'advantage',
      [...rowAdvantages].map((value, row) => kept(row, value)),
    ),
    line(
      'weight of a token',
      tokenGradients.map((gradients, row) => kept(row, -gradients[0]!)),
    ),
  ].join('\n')
}

const EXAMPLES = [...TEXT.matchAll(/^With `(\{.*?\})`[^\n]*:\n\n((?:\|[^\n]*\n)+)/gm)].map(
  ([, spec, table]) => ({
    spec: JSON.parse(spec!) as ObjectiveSpec,
    table: table!.trimEnd(),
  }),
)

test('every objective has a worked example', () => {
  assert.deepEqual([...new Set(EXAMPLES.map(({ spec }) => spec.kind))], [...OBJECTIVE_KINDS])
  assert.deepEqual([rewards.length, lengths.reduce((sum, length) => sum + length, 0)], [10, 25])
})

for (const { spec, table } of EXAMPLES) {
  test(`the example of ${JSON.stringify(spec)} comes out as it stands there`, () => {
    assert.equal(table, exampleTable(spec))
  })
}

test('the example of a later update comes out as it stands there', () => {
  const rows = tableOf('ratio and clip')
  assert.ok(rows.length >= 4)
  for (const [options, ...figures] of rows) {
    const shown = [1, -1].flatMap((advantage) => {
      const spec = {
        ...{ kind: advantage === 1 ? 'psr' : 'nsr', aggregation: 'constant', constant: 1 },
        ...optionsIn(options!),
      } as ObjectiveSpec
      const batch = { logprobs: [[-1, -0.5]], oldLogprobs: [[-1.3, -0.4]], rewards: [advantage] }
      const { loss, tokenGradients } = policyLoss(batch, spec, plainKernel)
      return [loss, ...tokenGradients[0]!].map(figure)
    })
    assert.deepEqual(figures, shown, options)
  }
})
