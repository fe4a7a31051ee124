import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { resolveData, resolveModel } from '../../src/hub.ts'
import { refused } from '../refused.ts'
import { large } from './hub-server.ts'
import { listing, unusedAddress, withHub } from './hub-test.ts'

const WEIGHTS = Buffer.from('parameters '.repeat(1000))
const MODEL = {
  'config.json': '{"model_type":"llama"}',
  'model.safetensors': large(WEIGHTS),
  'tokenizer.json': '{}',
  'chat_template.jinja': '{{ messages }}',
  'additional_chat_templates/rag.jinja': '{{ documents }}',
  'pytorch_model.bin': large('pickled'),
  'modeling_evil.py': 'import os',
  'onnx/model.onnx': large('onnx'),
  'README.md': '# model',
}
const WANTED = [
  ...['additional_chat_templates/rag.jinja', 'chat_template.jinja', 'config.json', 'model.safetensors'],
  'tokenizer.json',
]

describe('the cache folder', () => {
  const hub = withHub()
  const cache = () => join(hub.home, 'hub')

  it('gets the files that are read, under the names that huggingface_hub gives them', async () => {
    const commit = hub.server.commit('models/org/model', MODEL)
    const folder = await resolveModel('org/model')
    const repo = join(cache(), 'models--org--model')
    assert.equal(folder, join(repo, 'snapshots', commit))
    assert.deepEqual(listing(folder), WANTED)
    assert.equal(readFileSync(join(repo, 'refs/main'), 'utf8'), commit)
    const sha256 = createHash('sha256').update(WEIGHTS).digest('hex')
    assert.equal(readlinkSync(join(folder, 'model.safetensors')), `../../blobs/${sha256}`)
    assert.equal(readlinkSync(join(folder, 'additional_chat_templates/rag.jinja')).split('/').length, 5)
    assert.deepEqual(readFileSync(join(folder, 'model.safetensors')), WEIGHTS)
    const config = readlinkSync(join(folder, 'config.json')).split('/').at(-1)
    const gitName = createHash('sha1').update(`blob ${MODEL['config.json'].length}\0${MODEL['config.json']}`)
    assert.equal(config, gitName.digest('hex'))
    assert.deepEqual(
      listing(join(repo, 'blobs')).filter((name) => name.includes('incomplete')),
      [],
    )
  })

  it('is asked before the network: nothing is fetched twice, and a commit that is known needs no request', async () => {
    const commit = hub.server.commit('models/org/model', MODEL)
    const folder = await resolveModel('org/model')
    hub.server.requests.length = 0
    assert.equal(await resolveModel('org/model'), folder)
    assert.deepEqual(
      hub.server.requests.map(({ url }) => url.split('?')[0]),
      ['/api/models/org/model/revision/main'],
      'a branch may have moved; its commit is listed already',
    )
    hub.server.requests.length = 0
    assert.equal(await resolveModel(`org/model@${commit}`), folder)
    assert.deepEqual(hub.server.requests, [])
  })

  it('follows a branch that moves, and shares what has not changed', async () => {
    const first = hub.server.commit('models/org/model', MODEL)
    await resolveModel('org/model')
    const second = hub.server.commit('models/org/model', { ...MODEL, 'tokenizer.json': '{"new":1}' })
    hub.server.requests.length = 0
    const folder = await resolveModel('org/model')
    assert.notEqual(first, second)
    assert.ok(folder.endsWith(second))
    assert.equal(hub.server.bodies.length, 1, 'the tokenizer alone')
    assert.equal(readFileSync(join(folder, 'tokenizer.json'), 'utf8'), '{"new":1}')
    assert.equal(readFileSync(join(await resolveModel(`org/model@${first}`), 'tokenizer.json'), 'utf8'), '{}')
  })

  it('serves when the hub cannot be reached, with a note, and alone under HF_HUB_OFFLINE', async () => {
    hub.server.commit('models/org/model', MODEL)
    const folder = await resolveModel('org/model')
    process.env.HF_ENDPOINT = await unusedAddress()
    const notes: string[] = []
    assert.equal(await resolveModel('org/model', { onNote: (line) => notes.push(line) }), folder)
    assert.match(
      notes.join(),
      /127\.0\.0\.1:\d+ cannot be reached: going on with org\/model as it is in the cache/,
    )
    await assert.rejects(
      resolveModel('org/other'),
      refused(
        'UNREACHABLE',
        /org\/other: no such path here, and 127\.0\.0\.1:\d+ cannot be reached: .*ECONNREFUSED/,
      ),
    )
    process.env.HF_ENDPOINT = hub.server.endpoint
    process.env.HF_HUB_OFFLINE = '1'
    hub.server.requests.length = 0
    assert.equal(await resolveModel('org/model'), folder)
    const absent = refused('NOT_FOUND', /HF_HUB_OFFLINE is set.*models--org--other/)
    await assert.rejects(resolveModel('org/other'), absent)
    await assert.rejects(resolveModel('org/model', { revision: 'v2' }), refused('NOT_FOUND', /revision v2/))
    assert.deepEqual(hub.server.requests, [])
  })

  it('that another tool filled is read, and what is missing named', async () => {
    const commit = '1'.repeat(40)
    const repo = join(cache(), 'models--org--model')
    const put = (path: string, text: string) => {
      mkdirSync(join(repo, path, '..'), { recursive: true })
      writeFileSync(join(repo, path), text)
    }
    put('blobs/abc', '{}')
    put('refs/main', commit)
    put(`snapshots/${commit}/model.safetensors`, 'x')
    symlinkSync('../../blobs/abc', join(repo, 'snapshots', commit, 'config.json'))
    process.env.HF_HUB_OFFLINE = 'true'
    assert.equal(await resolveModel('org/model'), join(repo, 'snapshots', commit))
    rmSync(join(repo, 'snapshots', commit, 'model.safetensors'))
    await assert.rejects(resolveModel('org/model'), refused('NOT_FOUND', /model\.safetensors/))
  })

  it('with a link that leads out of it is refused', async () => {
    const commit = hub.server.commit('models/org/model', MODEL)
    const folder = await resolveModel('org/model')
    rmSync(join(folder, 'config.json'))
    writeFileSync(join(hub.home, 'elsewhere'), MODEL['config.json'])
    symlinkSync(join(hub.home, 'elsewhere'), join(folder, 'config.json'))
    await assert.rejects(resolveModel('org/model'), refused('DATA_CORRUPT', /a link out of the cache/))
    rmSync(folder, { recursive: true })
    mkdirSync(join(hub.home, 'outside'))
    symlinkSync(join(hub.home, 'outside'), folder)
    await assert.rejects(resolveModel(`org/model@${commit}`), refused('DATA_CORRUPT', /same name/))
    assert.deepEqual(listing(join(hub.home, 'outside')), [])
  })

  it('mends files that were cut off on the disk', async () => {
    hub.server.commit('models/org/model', MODEL)
    const folder = await resolveModel('org/model')
    writeFileSync(join(folder, 'model.safetensors'), 'cut')
    assert.equal(
      lstatSync(join(folder, 'model.safetensors')).isSymbolicLink(),
      true,
      'written through the link',
    )
    assert.deepEqual(readFileSync(join(await resolveModel('org/model'), 'model.safetensors')), WEIGHTS)
  })

  it('stands where the environment says', async () => {
    hub.server.commit('models/org/model', MODEL)
    process.env.HF_HUB_CACHE = join(hub.home, 'a')
    assert.ok((await resolveModel('org/model')).startsWith(join(hub.home, 'a', 'models--org--model')))
    delete process.env.HF_HUB_CACHE
    process.env.HUGGINGFACE_HUB_CACHE = join(hub.home, 'b')
    assert.ok((await resolveModel('org/model')).startsWith(join(hub.home, 'b')))
    delete process.env.HUGGINGFACE_HUB_CACHE
    delete process.env.HF_HOME
    process.env.XDG_CACHE_HOME = join(hub.home, 'c')
    assert.ok((await resolveModel('org/model')).startsWith(join(hub.home, 'c', 'huggingface', 'hub')))
  })

  it('gets the tokenizer and the templates alone where no more is needed', async () => {
    hub.server.commit('models/org/model', MODEL)
    const folder = await resolveModel('org/model', { parts: 'tokenizer' })
    assert.deepEqual(
      listing(folder),
      WANTED.filter((name) => name !== 'model.safetensors'),
    )
  })

  it('gets the shards that the index names, and no single file that is not there', async () => {
    const index = JSON.stringify({ weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors' } })
    const contents = {
      'config.json': '{}',
      'model.safetensors.index.json': index,
      'model-1.safetensors': large('one'),
      'model-2.safetensors': large('two'),
      'extra.safetensors': large('three'),
    }
    hub.server.commit('models/org/sharded', contents)
    const folder = await resolveModel('org/sharded')
    const expected = [
      'config.json',
      'model-1.safetensors',
      'model-2.safetensors',
      'model.safetensors.index.json',
    ]
    assert.deepEqual(listing(folder), expected)
    const { 'model-2.safetensors': _, ...others } = contents
    hub.server.commit('models/org/torn', others)
    await assert.rejects(
      resolveModel('org/torn'),
      refused('NOT_FOUND', /model-2\.safetensors, which .* names, is not there/),
    )
    hub.server.commit('models/org/pickled', { 'config.json': '{}', 'pytorch_model.bin': large('x') })
    const pickled = refused('NOT_FOUND', /pickled parameters are never read.*pytorch_model\.bin/)
    await assert.rejects(resolveModel('org/pickled'), pickled)
    const escaping = JSON.stringify({ weight_map: { a: '../../../x.safetensors' } })
    hub.server.commit('models/org/escaping', { ...contents, 'model.safetensors.index.json': escaping })
    await assert.rejects(resolveModel('org/escaping'), refused('CHECKPOINT_CORRUPT', /bad file name/))
  })
})

describe('ids', () => {
  const hub = withHub()

  it('give way to paths that exist, and to names of data files', async () => {
    const path = join(hub.home, 'org')
    mkdirSync(path)
    assert.equal(await resolveModel(path), path)
    assert.deepEqual(await resolveData('data/train.jsonl'), ['data/train.jsonl'])
    assert.deepEqual(await resolveData('src/hub'), ['src/hub'])
    for (const name of [
      'model',
      'a/b/c',
      './org/model',
      '/org/model',
      'org/',
      '../model',
      'org/..',
      'a--b/c',
    ]) {
      assert.equal(await resolveModel(name), name)
    }
    assert.deepEqual(hub.server.requests, [])
    const noId = refused('INVALID_ARGUMENT', /none for a path/)
    await assert.rejects(resolveModel(path, { revision: 'v1' }), noId)
    await assert.rejects(resolveData('data/train.jsonl', { split: 'train' }), noId)
  })

  it('may name a revision, of which a branch may have slashes', async () => {
    const contents = { 'config.json': '{}', 'model.safetensors': large('x'), 'tokenizer.json': '{}' }
    const commits = Object.fromEntries(
      ['main', 'v1', 'feature/x', 'refs/pr/3'].map((revision) => {
        const files = { ...contents, 'generation_config.json': JSON.stringify(revision) }
        return [revision, hub.server.commit('models/org/model', files, { revision })]
      }),
    )
    const endOf = async (id: string, revision?: string) =>
      (await resolveModel(id, revision === undefined ? {} : { revision })).split('/').at(-1)
    assert.equal(await endOf('org/model'), commits.main)
    assert.equal(await endOf('hf://org/model'), commits.main)
    assert.equal(await endOf('org/model@v1'), commits.v1)
    assert.equal(await endOf('org/model', 'v1'), commits.v1)
    assert.equal(await endOf('hf://org/model@v1'), commits.v1)
    assert.equal(await endOf('org/model@feature/x'), commits['feature/x'])
    assert.equal(await endOf('hf://org/model@feature%2Fx'), commits['feature/x'])
    assert.equal(await endOf('hf://org/model@refs/pr/3'), commits['refs/pr/3'])
    assert.ok(existsSync(join(hub.home, 'hub/models--org--model/refs/refs/pr/3')))
    await assert.rejects(
      endOf('org/model@v1', 'v2'),
      refused('INVALID_ARGUMENT', /v1, as org\/model@v1 says/),
    )
    await assert.rejects(endOf('org/model@v9'), refused('NOT_FOUND', /no such revision of org\/model/))
    for (const bad of ['../x', 'a..b', '/a', 'a//b', '-x', '.x', 'a/.b', 'x\0']) {
      await assert.rejects(endOf('org/model', bad), refused('INVALID_ARGUMENT', /not a revision/))
    }
    for (const bad of [
      'hf://',
      'hf://model',
      'hf://org/model/file',
      'hf://datasets/org/model',
      'hf://../x',
    ]) {
      await assert.rejects(endOf(bad), refused('INVALID_ARGUMENT', /not the address of a model/))
    }
  })
})
