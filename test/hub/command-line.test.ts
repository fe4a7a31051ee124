import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { defaultConfig, getTask, loadPromptTemplate, Policy, Tokenizer } from '../../src/index.ts'
import { coppice } from '../cli/command-line.ts'
import { jsonl } from '../data/files.ts'
import { tinyPolicy } from '../native-addon/tiny-policy.ts'
import { refused } from '../refused.ts'
import { large, type RepoContents } from './hub-server.ts'
import { listing, unusedAddress, withHub } from './hub-test.ts'

describe('models and data by their ids', () => {
  const hub = withHub()
  let folder = ''
  let model: RepoContents = {}
  const task = getTask('arithmetic')
  const at = (name: string) => join(folder, name)

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'coppice-hub-model-'))
    const tokenizer = Tokenizer.fromDefinition(task.tokenizer)
    const config = defaultConfig({
      ...{ vocabSize: tokenizer.vocabSize, hiddenSize: 32, numLayers: 1, numHeads: 2, intermediateSize: 32 },
      ...{ maxPositions: 64, eosTokenId: tokenizer.eosTokenId! },
    })
    await using policy = await tinyPolicy({ config, tokenizer })
    await policy.save(at('model'), { shardBytes: 20_000 })
    const files = readdirSync(at('model')).map((name) => {
      const bytes = readFileSync(at(`model/${name}`))
      return [name, name.endsWith('.safetensors') ? large(bytes) : bytes] as const
    })
    assert.ok(files.filter(([name]) => name.endsWith('.safetensors')).length > 1, 'shards')
    model = {
      ...Object.fromEntries(files),
      'chat_template.jinja': '{{ messages[0].content }}',
      'run.py': 'x',
    }
  })
  after(() => rmSync(folder, { recursive: true }))

  const publish = () => {
    const rows = (split: 'train' | 'heldout') =>
      jsonl(...task.prompts(split, 4, 1).map(({ prompt, reference }) => ({ prompt, reference })))
    hub.server.commit('models/org/tiny', model)
    hub.server.commit('datasets/org/sums', {
      'data/train-00000-of-00001.jsonl': rows('train'),
      'data/test-00000-of-00001.jsonl': rows('heldout'),
    })
  }

  it('load, with all that belongs to the model', async () => {
    publish()
    await using policy = await Policy.load({ model: 'org/tiny', revision: 'main', threads: 1 })
    assert.ok(policy.tokenizer !== undefined)
    await policy.save(at('saved'))
    assert.ok(existsSync(at('saved/chat_template.jinja')))
    const template = await loadPromptTemplate({ template: 'chat', model: 'org/tiny' })
    assert.equal(template.render('hello'), 'hello')
    const { vocabSize } = await Tokenizer.load('org/tiny@main')
    assert.equal(vocabSize, policy.tokenizer.vocabSize)
    const wrong = Policy.load({ model: 'org/tiny', revision: 'v2' })
    await assert.rejects(wrong, refused('NOT_FOUND', /no such revision/))
  })

  it('generate, train and evaluate from the command line, then without the network', async () => {
    publish()
    const done = async (...args: string[]) => {
      const { code, stdout, stderr } = await coppice(args)
      assert.equal(code, 0, stderr)
      return { said: JSON.parse(stdout), stderr }
    }
    const length = ['--max-completion-length', '4', '--threads', '1', '--json']
    const model = ['--model', 'org/tiny']
    const generate = ['generate', ...model, '--in', 'org/sums', '--split', 'train', '--num-generations', '2']
    const first = await done(...generate, ...length, '--out', at('one.jsonl'))
    assert.equal(first.said.rows, 8)
    assert.match(first.stderr, /fetch org\/tiny 100 %.*of .*KiB/)
    const train = ['train', ...model, '--prompts', 'org/sums', '--split', 'train', '--verifier', 'arithmetic']
    const evaluation = ['--eval-prompts', 'org/sums', '--eval-split', 'test', '--eval-every', '1']
    const sizes = [
      '--steps',
      '1',
      '--prompts-per-step',
      '4',
      '--num-generations',
      '2',
      '--objective',
      'reinforce',
    ]
    const trained = await done(...train, ...evaluation, ...sizes, ...length, '--out', at('run'))
    assert.ok('greedy_accuracy' in trained.said)
    process.env.HF_HUB_OFFLINE = '1'
    hub.server.requests.length = 0
    const again = await done(...generate, ...length, '--out', at('two.jsonl'))
    assert.doesNotMatch(again.stderr, /fetch/)
    assert.deepEqual(readFileSync(at('two.jsonl')), readFileSync(at('one.jsonl')))
    const facts = await done('inspect', 'org/tiny', '--json')
    assert.equal(facts.said.kind, 'checkpoint')
    assert.deepEqual(hub.server.requests, [])
  })

  it('that are wrong end with the exit code of bad input, and leave nothing behind', async () => {
    publish()
    hub.server.commit('models/org/gated', model, { access: 'gated' })
    const ends = async (code: number, message: RegExp, ...args: string[]) => {
      const outcome = await coppice([...args, '--out', at('never.jsonl')])
      assert.equal(outcome.code, code, outcome.stderr)
      assert.match(outcome.stderr, message)
      assert.ok(!existsSync(at('never.jsonl')))
    }
    const data = ['--in', 'org/sums', '--split', 'train']
    await ends(2, /no such path here, and no model of this name/, 'generate', '--model', 'org/none', ...data)
    await ends(2, /a gated model.*HF_TOKEN/, 'generate', '--model', 'org/gated', ...data)
    await ends(
      2,
      /several splits; expected one of the splits test, train/,
      'generate',
      '--model',
      'org/tiny',
      '--in',
      'org/sums',
    )
    await ends(
      2,
      /split: .*none for a path/,
      'generate',
      '--model',
      'org/tiny',
      '--in',
      'x.jsonl',
      '--split',
      'train',
    )
    hub.server.intercept = (_request, response) => {
      response.end('<html>')
      return true
    }
    await ends(2, /the hub's answer is not JSON/, 'generate', '--model', 'org/other', ...data)
    process.env.HF_ENDPOINT = await unusedAddress()
    await ends(1, /cannot be reached/, 'generate', '--model', 'org/other', ...data)
    assert.ok(listing(hub.home).every((path) => path.startsWith('hub/')))
  })

  it('doctor names the cache and where a token is from, and never the token', async () => {
    process.env.HF_TOKEN = 'hf_very_secret'
    const { stdout } = await coppice(['doctor', '--json'])
    const finding = JSON.parse(stdout).findings.find(
      ({ what }: { what: string }) => what === 'Hugging Face hub',
    )
    assert.match(finding.found, new RegExp(`${hub.home}/hub.*token from HF_TOKEN`))
    assert.doesNotMatch(stdout, /very_secret/)
  })
})
