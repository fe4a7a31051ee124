import assert from 'node:assert/strict'
import { splitOf, splits, type Task } from '../../src/tasks/task.ts'
import { Tokenizer } from '../../src/tokenizer.ts'
import type { Judgement, Sample } from '../../src/verdicts.ts'

/** One completion as the task's verifier judges it. */
export function judge(task: Task, reference: string, completion: string): Judgement {
  const sample: Sample = {
    promptId: 'p',
    prompt: '',
    reference,
    completion,
    promptTokens: new Int32Array(0),
    completionTokens: new Int32Array(0),
    finishReason: 'stop',
  }
  return task.verifier(sample, { signal: new AbortController().signal }) as Judgement
}

/** What every task promises. `keyOf` tells which instance a prompt belongs to. */
export function checkTaskContract(task: Task, keyOf: (prompt: string) => string): void {
  checkSplits(task, keyOf)
  checkSeeds(task)
  checkTokens(task)
}

function checkSplits(task: Task, keyOf: (prompt: string) => string): void {
  const keys = new Map<string, string>()
  for (const split of splits) {
    const rows = [...task.prompts(split, 150, 1), ...task.prompts(split, 150, 2)]
    for (const { prompt } of rows) {
      const key = keyOf(prompt)
      assert.equal(splitOf(task.name, key), split, `${prompt} is drawn for ${split}`)
      assert.ok((keys.get(key) ?? split) === split, `${key} is in ${keys.get(key)} and in ${split}`)
      keys.set(key, split)
    }
    assert.equal(new Set(task.prompts(split, 150, 1).map((row) => row.promptId)).size, 150)
    assert.equal(new Set(task.prompts(split, 150, 1).map((row) => row.prompt)).size, 150)
  }
  for (const { prompt } of task.demonstrations(500, 3))
    assert.equal(splitOf(task.name, keyOf(prompt)), 'train')
}

function checkSeeds(task: Task): void {
  assert.deepEqual(task.prompts('train', 40, 7), task.prompts('train', 60, 7).slice(0, 40))
  assert.notDeepEqual(task.prompts('train', 40, 7), task.prompts('train', 40, 8))
  assert.deepEqual(task.demonstrations(10, 7, 30), task.demonstrations(40, 7).slice(30))
  assert.notDeepEqual(task.demonstrations(10, 7), task.demonstrations(10, 8))
  assert.equal(new Set(task.demonstrations(100, 7).map((row) => row.prompt + row.completion)).size, 100)
  assert.deepEqual(task.prompts('tune', 0, 1), [])
  assert.throws(() => task.prompts('test' as never, 1, 1), { code: 'INVALID_ARGUMENT' })
  assert.throws(() => task.prompts('train', -1, 1), { code: 'INVALID_ARGUMENT' })
  assert.throws(() => task.demonstrationTokens(1.5, 1), { code: 'INVALID_ARGUMENT' })
}

/** The fast path must give what tokenizer.json gives. */
function checkTokens(task: Task): void {
  const tokenizer = Tokenizer.fromDefinition(task.tokenizer)
  const end = tokenizer.eosTokenId === undefined ? [] : [tokenizer.eosTokenId]
  const texts = task.demonstrations(300, 5, 100)
  const { tokens, offsets, promptLengths } = task.demonstrationTokens(300, 5, 100)
  assert.equal(offsets.length, 301)
  assert.equal(tokens.length, offsets[300])
  let [longestPrompt, longestCompletion] = [0, 0]
  for (const [row, { prompt, completion }] of texts.entries()) {
    const middle = offsets[row]! + promptLengths[row]!
    assert.deepEqual(tokens.slice(offsets[row], middle), tokenizer.encode(prompt))
    const expected = Int32Array.of(...tokenizer.encode(completion), ...end)
    assert.deepEqual(tokens.slice(middle, offsets[row + 1]), expected)
    assert.equal(tokenizer.decode(expected, { skipSpecialTokens: true }), completion)
    longestPrompt = Math.max(longestPrompt, promptLengths[row]!)
    longestCompletion = Math.max(longestCompletion, expected.length)
  }
  for (const split of splits) {
    for (const { prompt } of task.prompts(split, 100, 4)) {
      longestPrompt = Math.max(longestPrompt, tokenizer.encode(prompt).length)
    }
  }
  assert.ok(longestPrompt <= task.maxPromptLength && longestPrompt > task.maxPromptLength / 2)
  assert.ok(longestCompletion <= task.maxCompletionLength && longestCompletion > task.maxCompletionLength / 2)
}

/** The share of `count` demonstrations that the task's verifier calls right. `referenceOf` makes a prompt's reference. */
export function rightShare(task: Task, count: number, referenceOf: (prompt: string) => string): number {
  const rows = task.demonstrations(count, 11)
  const right = rows.filter((row) => judge(task, referenceOf(row.prompt), row.completion).verdict === 'right')
  return right.length / count
}
