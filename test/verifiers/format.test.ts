import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { overlongVerifier } from '../../src/verifiers/overlong.ts'
import { verifyAll } from '../../src/verify.ts'
import { checkTable, sampleOf, verdictOf } from './verdict-table.ts'

describe('format verifier', () => {
  it('knows think-answer', () => {
    checkTable('format', '', [
      ['<think>a</think><answer>b</answer>', 'right'],
      ['\n<think>\na\n</think>\n\n<answer>\nb\n</answer>\n', 'right'],
      ['<think>1 < 2 </ think></think><answer>b</answer>', 'right'],
      ['', 'wrong', /no <think>/],
      ['b', 'wrong', /no <think>/],
      ['<think>a<answer>b</answer>', 'wrong', /no <\/think>/],
      ['<think>a</think>b', 'wrong', /no <answer>/],
      ['<think>a</think><answer>b', 'wrong', /no <\/answer>/],
      ['So: <think>a</think><answer>b</answer>', 'wrong', /text before <think>/],
      ['<think>a</think>c<answer>b</answer>', 'wrong', /text before <answer>/],
      ['<think>a</think><answer>b</answer>c', 'wrong', /text behind <\/answer>/],
      ['<think>a</think><answer>b</answer><answer>c</answer>', 'wrong', /<answer> more than once/],
      ['<think><think>a</think><answer>b</answer>', 'wrong', /<think> more than once/],
      ['<think>a</think></think><answer>b</answer>', 'wrong', /<\/think> more than once/],
      ['<think> \n</think><answer>b</answer>', 'wrong', /nothing in <think>/],
      ['<think>a</think><answer> </answer>', 'wrong', /nothing in <answer>/],
      ['<answer>b</answer><think>a</think>', 'wrong', /text before <think>/],
      ['</think>a<think><answer>b</answer>', 'wrong', /text before <think>/],
      ['<think>a<answer>b</think></answer>', 'wrong', /<answer> not behind/],
    ])
  })

  it('knows thinking alone, and thinking that the prompt began', () => {
    checkTable('format:template=think', '', [
      ['<think>a</think>b', 'right'],
      ['<think>a</think> ', 'wrong', /nothing behind <\/think>/],
      ['a</think>b', 'wrong', /no <think>/],
    ])
    checkTable('format:template=think,thinking=prompt', '', [
      ['a</think>b', 'right'],
      ['</think>b', 'wrong', /nothing in <think>/],
      ['<think>a</think>b', 'wrong', /more than once/],
    ])
    checkTable('format:thinking=prompt', '', [['a</think><answer>b</answer>', 'right']])
  })

  it('knows one box', () => {
    checkTable('format:template=boxed', '', [
      ['so \\boxed{\\frac{1}{2}}.', 'right'],
      ['<think>\\boxed{1} \\boxed{2}</think>\\boxed{3}', 'right'],
      ['42', 'wrong', /no box/],
      ['\\boxed{42', 'wrong', /does not close/],
      ['\\boxed{1} \\boxed{', 'wrong', /does not close/],
      ['\\boxed{}', 'wrong', /empty/],
      ['\\boxed{1} and \\boxed{1}', 'wrong', /2 boxes/],
      ['\\boxed{\\boxed{1}}', 'wrong', /box in a box/],
    ])
  })

  it('takes a pattern with commas, and one that hangs costs its sample alone', async () => {
    const judgements = (pattern: string, ...texts: string[]) =>
      verifyAll(
        texts.map((text) => sampleOf('', text)),
        `format:pattern=${pattern}`,
        { concurrency: 1, timeoutMs: 500 },
      )
    const verdicts = async (pattern: string, ...texts: string[]) =>
      (await judgements(pattern, ...texts)).map(({ verdict }) => verdict)
    assert.deepEqual(await verdicts('/^A{1,2}$/i', 'aa', 'aaa', 'a'), ['right', 'wrong', 'right'])
    assert.deepEqual(await verdicts('/a/g', 'xa', 'a', 'b'), ['right', 'right', 'wrong'])
    assert.deepEqual(await verdicts('^(a+)+$', 'aaa', `${'a'.repeat(64)}b`, 'aaaa'), [
      'right',
      'timed-out',
      'right',
    ])
    await assert.rejects(judgements('(', 'a'), { code: 'INVALID_ARGUMENT', message: /format, pattern/ })
  })
})

describe('overlong verifier', () => {
  const reward = (tokens: number, finishReason: 'stop' | 'length' | 'cancelled' = 'stop') => {
    const sample = { ...sampleOf('', 'x'), completionTokens: new Int32Array(tokens), finishReason }
    return verifyAll([sample], { verifiers: [() => 1, 'overlong:maxLength=20,cache=8'] })
  }

  it('takes off what DAPO does', async () => {
    const rewards: number[] = []
    for (const tokens of [1, 11, 12, 13, 16, 19, 20, 21, 500])
      rewards.push((await reward(tokens))[0]!.partRewards![1]!)
    assert.deepEqual(rewards, [0, 0, 0, -0.125, -0.5, -0.875, -1, -1, -1])
    const [judgement] = await reward(16)
    assert.deepEqual([judgement!.verdict, judgement!.reward], ['right', 0.5])
    assert.equal((await reward(20))[0]!.verdict, 'right', 'a reward of 0 takes nothing from the verdict')
    assert.equal((await reward(3, 'length'))[0]!.partRewards![1], -1)
    assert.equal((await reward(3, 'cancelled'))[0]!.partRewards![1], null)
  })

  it('may be a step', () => {
    const verify = overlongVerifier({ maxLength: 20, cache: 0 })
    const sample = (tokens: number) => ({ ...sampleOf('', 'x'), completionTokens: new Int32Array(tokens) })
    assert.deepEqual([verify(sample(20)).reward, verify(sample(21)).reward], [0, -1])
  })

  it('says what is missing', async () => {
    await assert.rejects(reward(0), { code: 'INVALID_ARGUMENT', message: /completion_tokens is missing/ })
    for (const verifier of [
      'overlong:maxLength=20,cache=8',
      { verifiers: ['overlong:maxLength=20,cache=8', 'exact'] },
    ]) {
      await assert.rejects(verifyAll([sampleOf('', '')], verifier), {
        code: 'INVALID_ARGUMENT',
        message: /tells right from wrong/,
      })
    }
    assert.equal(verdictOf('overlong:maxLength=20,cache=8', '', '').reward, 0)
  })
})
