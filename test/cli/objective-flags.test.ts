import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OBJECTIVE_FLAGS, objectiveOf } from '../../src/cli/objective-flags.ts'
import { OBJECTIVE_KINDS, objectiveOptionNames } from '../../src/objectives.ts'

test('every option of every objective has a flag, and no flag is for nothing', () => {
  const names = new Set(OBJECTIVE_KINDS.flatMap(objectiveOptionNames))
  const flags = [...names]
    .filter((name) => name !== 'kind')
    .map((name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`))
  assert.deepEqual([...flags, 'objective', 'clip'].sort(), Object.keys(OBJECTIVE_FLAGS).sort())
})

test('flags become the objective as TypeScript has it; --no-clip opens both sides', () => {
  const flags = {
    objective: 'reinforce',
    clip: true,
    baseline: 'group',
    scaleRewards: 'batch',
    filterGroups: 'constant',
  }
  assert.deepEqual(objectiveOf({ ...flags, steps: 3, lambda: undefined }), {
    ...{ kind: 'reinforce', baseline: 'group', scaleRewards: 'batch', filterGroups: 'constant' },
  })
  assert.deepEqual(objectiveOf({ objective: 'dapo', clip: false }), {
    kind: 'dapo',
    epsilon: null,
    epsilonHigh: null,
  })
  assert.throws(() => objectiveOf({ objective: 'dapo', clip: true, numGenerations: 1 }), /numGenerations/)
})
