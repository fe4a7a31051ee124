import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { appendColumns, dropColumns, Policy, readTable, Tokenizer, writeTable } from '../../../src/index.ts'
import { getTask } from '../../../src/tasks/index.ts'
import { judged, promptsOfLength, TINY_CONFIG, tinyPolicy } from '../../native-addon/tiny-policy.ts'
import { coppice } from '../command-line.ts'

describe('coppice explain', () => {
  let folder = ''
  let model = ''
  let rollouts = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-explain-'))
    model = join(folder, 'model')
    rollouts = join(folder, 'judged.arrow')
    const tokenizer = Tokenizer.fromDefinition(getTask('walk', { nodes: 4 }).tokenizer)
    await using policy = await tinyPolicy({
      config: { ...TINY_CONFIG, vocab_size: tokenizer.vocabSize },
      tokenizer,
    })
    const prompts = promptsOfLength(3, 5).map((prompt) => ({
      ...prompt,
      prompt: 'walk',
      promptTokens: prompt.promptTokens.map((token) => token % tokenizer.vocabSize),
    }))
    const batch = await policy.generateAll(prompts, { numGenerations: 3, maxCompletionLength: 7 })
    await writeTable(rollouts, [judged(batch)])
    await policy.update(judged(batch), { objective: { kind: 'nsr' }, learningRate: 1e-3 })
    await policy.saveTrainingState(model)
  })
  after(() => rm(folder, { recursive: true }))

  const run = (...args: string[]) =>
    coppice(['explain', '--model', model, '--in', rollouts, '--objective', 'nsr', '--threads', '1', ...args])

  it('shows tokens and what the likeliest of each do, without colours where there is no terminal', async () => {
    const { code, stdout, stderr } = await run('--learning-rate', '1e-3', '--top', '2', '--max-tokens', '4')
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^nsr on 6 rows, one step of AdamW with the moments of 1 step at 0\.001: loss/)
    assert.match(stdout, /row 1, group 0, sample 1: wrong, reward 0, advantage -1/)
    assert.match(
      stdout,
      /token +log-prob +entropy +ratio +weight +-dL\/dz +change +of entropy +top 1 +top 2\n/,
    )
    assert.match(stdout, /\.\.\. 3 more tokens/)
    assert.match(stdout, /recorded log-probs are up to/)
    assert.ok(!stdout.includes('\x1b'))
    assert.equal(stdout.split('\n').filter((line) => /^\d+ /.test(line)).length, 4)
  })

  it('prints the same as JSON, for the rows and groups that are named, once each', async () => {
    const { code, stdout, stderr } = await run('--json', '--row', '5', '--group', '1', '--max-tokens', '0')
    assert.equal(code, 0, stderr)
    const { rows, moment_steps, optimizer, batch_rows } = JSON.parse(stdout)
    assert.deepEqual(
      rows.map(({ row, group_id, kept }: Record<string, unknown>) => [row, group_id, kept]),
      [
        [5, 1, true],
        [3, 1, false],
        [4, 1, true],
      ],
    )
    assert.deepEqual(
      [moment_steps, batch_rows, optimizer.kind, optimizer.learningRate],
      [1, 6, 'adamw', 1e-6],
    )
    const [{ tokens }] = rows
    assert.equal(tokens.length, rows[0].completion_length)
    assert.equal(tokens[0].alternatives.length, 5)
    assert.equal(typeof tokens[0].alternatives[0].logprob_change, 'number')
  })

  it('learns from the named rows alone under --alone, and says their numbers in the file', async () => {
    const options = ['--row', '4', '--json', '--optimizer', 'sgd', '--learning-rate', '0.1']
    const [among, alone] = [await run(...options), await run(...options, '--alone')].map(
      ({ stdout, stderr }) => {
        assert.equal(stderr, '')
        return JSON.parse(stdout)
      },
    )
    assert.deepEqual([among.batch_rows, alone.batch_rows], [6, 1])
    assert.deepEqual([among.rows[0].row, alone.rows[0].row], [4, 4])
    for (const { rows, metrics } of [among, alone]) {
      assert.equal(rows[0].tokens[0].norm, Math.fround(1 / metrics.num_active_tokens))
    }
    assert.equal(alone.metrics.num_active_tokens, alone.rows[0].completion_length)
    assert.ok(among.metrics.num_active_tokens > alone.metrics.num_active_tokens)
  })

  it('refuses with 2 what is not there, naming file and flag', async () => {
    const solvedFile = join(folder, 'solved.arrow')
    const rows = dropColumns(await readTable(rollouts), ['verdict', 'reward'])
    await writeTable(solvedFile, [appendColumns(rows, { reward: [1, 1, 1, 1, 1, 1] })])
    const refusals: [string[], RegExp][] = [
      [['--row', '6'], /--row: no such row; expected 0 to 5; received 6/],
      [['--row'], /--row: no value/],
      [['--group', '7'], /--group: no row has this group_id; expected one of 0, 1; received 7/],
      [['--alone'], /--alone: no rows are named/],
      [['--optimizer', 'sgd'], /--learning-rate: sgd needs/],
      [['--optimizer', 'sgd', '--learning-rate', '1', '--weight-decay', '0'], /--weight-decay: sgd has no/],
      [['--top', '9999'], /explain\.top/],
    ]
    for (const [args, message] of refusals) {
      const { code, stdout, stderr } = await run(...args)
      assert.deepEqual([code, stdout], [2, ''], args.join(' '))
      assert.match(stderr, message)
    }
    const solved = await coppice(['explain', '--model', model, '--in', solvedFile, '--objective', 'nsr'])
    assert.equal(solved.code, 0, solved.stderr)
    assert.match(solved.stdout, /nsr on 6 rows: no step is made \(no wrong completion\), nothing moves/)
  })

  it('leaves the folder of the model alone', async () => {
    await using policy = await Policy.load({ model, threads: 1 })
    const before = await policy.parameter('model.norm.weight')
    assert.equal((await run('--learning-rate', '1')).code, 0)
    await using again = await Policy.load({ model, threads: 1 })
    assert.deepEqual(await again.parameter('model.norm.weight'), before)
  })
})
