import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { getTask, loadTask, taskNames } from '../../src/tasks/index.ts'
import { defineTask, splitOf, splitShares, splits, type TaskParts } from '../../src/tasks/task.ts'
import { characterTokenizer } from '../../src/tokenizer-definition.ts'
import { checkTaskContract, judge } from './task-contract.ts'

const dir = await mkdtemp(join(tmpdir(), 'coppice-task-'))
after(() => rm(dir, { recursive: true }))

const reverse: TaskParts = {
  name: 'reverse',
  description: 'write the letters backwards',
  tokenizer: characterTokenizer('abcdefgh>'),
  maxPromptLength: 6,
  maxCompletionLength: 6,
  draw(random) {
    const letters = Array.from({ length: 5 }, () => random.pick([...'abcdefgh']))
    const reversed = letters.toReversed()
    const shown = random.chance(0.3) ? random.shuffle([...letters]) : reversed
    return { prompt: `${letters.join('')}>`, reference: reversed.join(''), completion: shown.join('') }
  },
  verifier: (sample) => (sample.completion === sample.reference ? 'right' : 'wrong'),
}

describe('defineTask', () => {
  it('makes a task of one’s own that keeps every promise', () => {
    const task = defineTask(reverse)
    checkTaskContract(task, (prompt) => prompt)
    const [row] = task.prompts('heldout', 1, 1)
    assert.equal(judge(task, row!.reference, row!.reference) as unknown, 'right')
    assert.equal(task.distinctKey(' a  b '), 'a b')
  })

  it('shares instances out as stated', () => {
    const counts = { train: 0, tune: 0, heldout: 0 }
    for (let i = 0; i < 20_000; i++) counts[splitOf('some task', `instance ${i}`)]++
    for (const split of splits) {
      assert.ok(Math.abs(counts[split] / 20_000 - splitShares[split]) < 0.02, `${split}: ${counts[split]}`)
    }
    assert.ok(Math.abs(splits.reduce((sum, split) => sum + splitShares[split], 0) - 1) < 1e-12)
  })

  it('refuses text that its tokenizer lacks, rows that are too long and splits that are empty', () => {
    const row = { prompt: 'a>', reference: 'a', completion: 'a' }
    const fixed = (parts: Partial<TaskParts>) => defineTask({ ...reverse, draw: () => row, ...parts })
    const used = splitOf('reverse', 'a>')
    const empty = splits.find((split) => split !== used)!
    assert.throws(() => fixed({}).prompts(empty, 1, 1), { code: 'INVALID_ARGUMENT', message: /is empty/ })
    assert.throws(() => fixed({}).prompts(used, 2, 1), {
      code: 'INVALID_ARGUMENT',
      message: /too few prompts/,
    })
    let calls = 0
    const varied = (completion: string, parts: Partial<TaskParts> = {}) =>
      fixed({ draw: () => ({ ...row, completion, key: String(calls++) }), ...parts })
    assert.throws(() => varied('xyz').demonstrationTokens(1, 1), {
      code: 'INVALID_ARGUMENT',
      message: /lacks "x"/,
    })
    assert.throws(() => varied('aaaaaa').demonstrationTokens(1, 1), {
      code: 'INVALID_ARGUMENT',
      message: /6 tokens at most; received 7/,
    })
    assert.throws(() => varied('a', { maxPromptLength: 1 }).demonstrationTokens(1, 1), {
      code: 'INVALID_ARGUMENT',
    })
    assert.throws(() => defineTask({ ...reverse, verify: 1 } as never), {
      code: 'INVALID_ARGUMENT',
      message: /verifier/,
    })
  })
})

describe('task registry', () => {
  it('knows the built-in tasks and their options', () => {
    assert.deepEqual(taskNames, ['countdown', 'walk', 'arithmetic'])
    for (const name of taskNames) assert.equal(getTask(name).name, name)
    assert.equal(getTask('countdown', { numbers: 5 }).options.numbers, 5)
    assert.throws(() => getTask('countdwn' as never), {
      code: 'INVALID_ARGUMENT',
      message: /did you mean 'countdown'/,
    })
    assert.throws(() => getTask('toString' as never), { code: 'INVALID_ARGUMENT' })
  })

  it('loads a task from a file', async () => {
    const [good, bad, broken] = ['good.mts', 'bad.mjs', 'broken.mjs'].map((name) => join(dir, name))
    const task = new URL('../../src/tasks/task.ts', import.meta.url)
    await writeFile(
      good!,
      `import { defineTask } from ${JSON.stringify(task.href)}
       export default defineTask({
         name: 'echo', description: 'repeat', tokenizer: { level: 'word', tokens: ['a', 'b'] },
         maxPromptLength: 9, maxCompletionLength: 9, verifier: (sample) => 'right',
         draw: (random): { prompt: string; reference: string; completion: string } => {
           const text = Array.from({ length: 9 }, () => random.pick(['a', 'b'])).join(' ')
           return { prompt: text, reference: text, completion: text }
         },
       })`,
    )
    await writeFile(bad!, 'export default () => 1')
    await writeFile(broken!, 'throw new Error("no")')
    assert.equal((await loadTask(good!)).prompts('train', 3, 1).length, 3)
    assert.equal((await loadTask('walk', { nodes: 5 })).options.nodes, 5)
    await assert.rejects(loadTask(good!, { nodes: 5 }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(loadTask(bad!), { code: 'INVALID_ARGUMENT', message: /not a task/ })
    await assert.rejects(loadTask(broken!), {
      code: 'INVALID_ARGUMENT',
      message: /cannot be loaded: Error: no/,
    })
    await assert.rejects(loadTask(join(dir, 'none.ts')), {
      code: 'INVALID_ARGUMENT',
      message: /no such file/,
    })
  })
})
