import assert from 'node:assert/strict'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  defaultConfig,
  type JsonObject,
  modelConfigOf,
  readModelFolder,
  readOptimizerState,
  readSafetensorsHeader,
  type SaveTensors,
  tensorShapesOf,
  writeGradients,
  writeModelFolder,
  writeOptimizerState,
} from '../../src/checkpoint.ts'
import { withFolder, writeJson, writeTensors } from './files.ts'

const raw = defaultConfig({
  vocabSize: 11,
  hiddenSize: 16,
  numLayers: 2,
  numHeads: 2,
  numKvHeads: 1,
  intermediateSize: 24,
  maxPositions: 64,
  tieEmbeddings: false,
})
const layout = tensorShapesOf(modelConfigOf(raw, 'raw'))

/** Fills every body with its tensor's place in the layout, so that a body in the wrong place shows. */
const saveInto: SaveTensors = async (tensors) => {
  for (const { path, offset, name, dtype } of tensors) {
    const { bytes } = readSafetensorsHeader(path).tensors.get(name)!
    const file = openSync(path, 'r+')
    writeSync(
      file,
      Buffer.alloc(bytes, 1 + layout.findIndex((tensor) => tensor.name === name)),
      0,
      bytes,
      offset,
    )
    closeSync(file)
    assert.ok(dtype === 'f32' || dtype === 'bf16')
  }
}
const firstByte = (path: string, offset: number) => readFileSync(path)[offset]

/** A model folder as other programs write it: `edit` may change the tensors first. */
function writeForeign(folder: string, config: JsonObject, edit: (tensors: Tensors) => void = () => {}): void {
  const tensors: Tensors = {}
  for (const { name, shape } of tensorShapesOf(modelConfigOf(config, 'config')))
    tensors[name] = { shape: [...shape] }
  edit(tensors)
  writeJson(join(folder, 'config.json'), config)
  writeTensors(join(folder, 'model.safetensors'), tensors)
}
type Tensors = Record<string, { dtype?: string; shape: number[] }>

test('a model is written and read back: names, shapes, offsets, companions', () =>
  withFolder(async (folder) => {
    const [from, to] = [join(folder, 'from'), join(folder, 'to')]
    mkdirSync(from)
    writeFileSync(join(from, 'tokenizer.json'), '{}')
    writeJson(join(from, 'generation_config.json'), { eos_token_id: [3, 4] })
    await writeModelFolder(to, raw, layout, saveInto, { copyTokenizerFrom: from })
    const read = readModelFolder(to)
    assert.deepEqual(
      read.tensors.map(({ name }) => name),
      layout.map(({ name }) => name),
    )
    for (const [i, { path, offset, dtype }] of read.tensors.entries()) {
      assert.equal(dtype, 'f32')
      assert.equal(firstByte(path, offset), i + 1)
    }
    assert.deepEqual(read.stopTokens, [3, 4])
    assert.equal(read.tokenizerPath, join(to, 'tokenizer.json'))
    assert.deepEqual(read.rawConfig, { ...raw, torch_dtype: 'float32' })
    assert.deepEqual(readdirSync(folder).sort(), ['from', 'to'], 'no partial folder is left')
  }))

test('shards are cut by size, indexed, and read back', () =>
  withFolder(async (folder) => {
    const to = join(folder, 'to')
    await writeModelFolder(to, raw, layout, saveInto, { dtype: 'bf16', shardBytes: 2000 })
    const index = JSON.parse(readFileSync(join(to, 'model.safetensors.index.json'), 'utf8'))
    const elements = layout.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    assert.equal(index.metadata.total_size, 2 * elements)
    const files = readdirSync(to).filter((name) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name))
    assert.ok(files.length > 3)
    assert.deepEqual([...new Set(Object.values(index.weight_map))].sort(), files.sort())
    for (const [i, { path, offset, dtype }] of readModelFolder(to).tensors.entries()) {
      assert.equal(dtype, 'bf16')
      assert.equal(firstByte(path, offset), i + 1)
    }
  }))

test('a folder that is not empty is replaced only on demand, and only if it is a model', () =>
  withFolder(async (folder) => {
    const to = join(folder, 'to')
    mkdirSync(to)
    await writeModelFolder(to, raw, layout, saveInto)
    const refusal = { code: 'INVALID_ARGUMENT', message: /exists and is not empty/ }
    await assert.rejects(writeModelFolder(to, raw, layout, saveInto), refusal)
    writeFileSync(join(to, 'old'), '')
    await writeModelFolder(to, raw, layout, saveInto, { overwrite: true })
    assert.ok(!existsSync(join(to, 'old')))
    rmSync(join(to, 'config.json'))
    await assert.rejects(writeModelFolder(to, raw, layout, saveInto, { overwrite: true }), refusal)
    assert.deepEqual(readdirSync(folder), ['to'])
  }))

test('a write that fails leaves the old folder and nothing else', () =>
  withFolder(async (folder) => {
    const to = join(folder, 'to')
    await writeModelFolder(to, raw, layout, saveInto)
    const failing: SaveTensors = async () => {
      assert.deepEqual(readdirSync(folder).sort(), ['.to.partial', 'to'])
      throw new Error('disk full')
    }
    await assert.rejects(writeModelFolder(to, raw, layout, failing, { overwrite: true }), /disk full/)
    assert.deepEqual(readdirSync(folder), ['to'])
    assert.equal(readModelFolder(to).tensors.length, layout.length)
    const gradients = join(folder, 'g.safetensors')
    await assert.rejects(writeGradients(gradients, layout, failing), /partial|disk full/)
    assert.ok(!existsSync(gradients))
  }))

test('gradients bear the tensors names in F32', () =>
  withFolder(async (folder) => {
    const path = join(folder, 'g.safetensors')
    await writeGradients(path, layout, saveInto)
    const { tensors } = readSafetensorsHeader(path)
    for (const { name, shape } of layout) {
      assert.deepEqual([tensors.get(name)?.dtype, tensors.get(name)?.shape], ['F32', shape])
    }
    assert.equal(tensors.size, layout.length)
  }))

test('optimiser state is read back, and refused when it belongs to another model', () =>
  withFolder(async (folder) => {
    let written: unknown
    await writeOptimizerState(folder, layout, 12, async (path, mOffset, vOffset) => {
      assert.match(path, /partial/)
      written = { mOffset, vOffset }
    })
    const { path, step, ...offsets } = readOptimizerState(folder, layout)
    assert.deepEqual([path, step, offsets], [join(folder, 'optimizer.safetensors'), 12, written])
    const elements = layout.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    assert.equal(offsets.vOffset - offsets.mOffset, 4 * elements)
    const swapped = [...layout.slice(1), layout[0]!]
    for (const [other, message] of [
      [swapped, /another shape/],
      [layout.slice(1), /tensor "m" does not fit/],
    ] as const) {
      assert.throws(() => readOptimizerState(folder, other), { code: 'CHECKPOINT_CORRUPT', message })
    }
    rmSync(path)
    assert.throws(() => readOptimizerState(folder, layout), {
      code: 'CHECKPOINT_CORRUPT',
      message: /does not exist/,
    })
  }))

test('a tied head may be absent, stored twice, or stored under the head name', () =>
  withFolder((folder) => {
    const tied = { ...raw, tie_word_embeddings: true }
    const embedding = 'model.embed_tokens.weight'
    writeForeign(folder, tied)
    assert.deepEqual(readModelFolder(folder).ignoredTensors, [])
    writeForeign(folder, tied, (tensors) => Object.assign(tensors, { 'lm_head.weight': { shape: [11, 16] } }))
    assert.deepEqual(readModelFolder(folder).ignoredTensors, ['lm_head.weight'])
    // Another head than the embedding cannot be meant by a tied model.
    const path = join(folder, 'model.safetensors')
    const bytes = readFileSync(path)
    bytes[bytes.length - 1] = 1
    writeFileSync(path, bytes)
    assert.throws(() => readModelFolder(folder), {
      code: 'CHECKPOINT_CORRUPT',
      message: /"lm_head.weight" differs/,
    })
    writeForeign(folder, tied, (tensors) => {
      delete tensors[embedding]
      tensors['lm_head.weight'] = { shape: [11, 16] }
    })
    assert.equal(readModelFolder(folder).tensors[0]!.name, embedding)
  }))

const faults: [string, RegExp, (tensors: Tensors) => void][] = [
  ['a missing tensor', /"model\.norm\.weight" is missing.*\[16\]/, (t) => delete t['model.norm.weight']],
  ['an untied head that is missing', /"lm_head\.weight" is missing/, (t) => delete t['lm_head.weight']],
  [
    'a tensor too many',
    /"model\.layers\.2\.x" does not belong/,
    (t) => Object.assign(t, { 'model.layers.2.x': { shape: [1] } }),
  ],
  [
    'a bias too many',
    /o_proj\.bias" does not belong/,
    (t) => Object.assign(t, { 'model.layers.0.self_attn.o_proj.bias': { shape: [16] } }),
  ],
  [
    'a transposed tensor',
    /down_proj.*expected \[16, 24\].*\[24,16\]/,
    (t) => Object.assign(t, { 'model.layers.1.mlp.down_proj.weight': { shape: [24, 16] } }),
  ],
  [
    'a tensor of another rank',
    /"model\.norm\.weight".*\[16\].*\[1,16\]/,
    (t) => Object.assign(t, { 'model.norm.weight': { shape: [1, 16] } }),
  ],
  [
    'a tensor of integers',
    /dtype is not supported.*I64/,
    (t) => Object.assign(t, { 'model.norm.weight': { shape: [16], dtype: 'I64' } }),
  ],
]
for (const [fault, message, edit] of faults) {
  test(`a model with ${fault} is refused by name`, () =>
    withFolder((folder) => {
      writeForeign(folder, raw, edit)
      assert.throws(() => readModelFolder(folder), { code: 'CHECKPOINT_CORRUPT', message })
    }))
}

test('F16, BF16 and F32 may be mixed; derived tables are passed over by name', () =>
  withFolder((folder) => {
    writeForeign(folder, raw, (tensors) => {
      tensors['model.norm.weight']!.dtype = 'F16'
      tensors['lm_head.weight']!.dtype = 'BF16'
      tensors['model.layers.0.self_attn.rotary_emb.inv_freq'] = { shape: [4] }
    })
    const { tensors, ignoredTensors } = readModelFolder(folder)
    assert.deepEqual(
      ['model.norm.weight', 'lm_head.weight', 'model.embed_tokens.weight'].map(
        (name) => tensors.find((tensor) => tensor.name === name)?.dtype,
      ),
      ['f16', 'bf16', 'f32'],
    )
    assert.deepEqual(ignoredTensors, ['model.layers.0.self_attn.rotary_emb.inv_freq'])
  }))

test('an index that lies is refused by name', () =>
  withFolder(async (folder) => {
    const to = join(folder, 'to')
    await writeModelFolder(to, raw, layout, saveInto, { shardBytes: 4000 })
    const path = join(to, 'model.safetensors.index.json')
    const good = JSON.parse(readFileSync(path, 'utf8'))
    const [first, second] = [...new Set(Object.values(good.weight_map))] as string[]
    const lies: [Record<string, unknown>, RegExp][] = [
      [{ 'model.norm.weight': '../x.safetensors' }, /bad file name for tensor "model\.norm\.weight"/],
      [{ 'model.norm.weight': '/etc/passwd' }, /bad file name/],
      [{ 'model.norm.weight': 7 }, /bad file name/],
      [{ 'model.norm.weight': 'gone.safetensors' }, /gone\.safetensors: the file does not exist/],
      [
        { 'model.embed_tokens.weight': second },
        new RegExp(`${first}.*"model\\.embed_tokens\\.weight" is not what`),
      ],
      [{ 'model.extra': first }, /"model\.extra" of the index is not here/],
    ]
    for (const [lie, message] of lies) {
      writeJson(path, { ...good, weight_map: { ...good.weight_map, ...lie } })
      assert.throws(() => readModelFolder(to), { code: 'CHECKPOINT_CORRUPT', message })
    }
    const { 'model.norm.weight': _, ...incomplete } = good.weight_map
    writeJson(path, { ...good, weight_map: incomplete })
    assert.throws(() => readModelFolder(to), /"model\.norm\.weight" is not what the index says.*an entry/)
    writeJson(path, { weight_map: [] })
    assert.throws(() => readModelFolder(to), /weight_map is not an object/)
  }))

test('a folder without a model says what it holds', () =>
  withFolder((folder) => {
    assert.throws(() => readModelFolder(folder), {
      code: 'CHECKPOINT_CORRUPT',
      message: /config\.json.*does not exist/,
    })
    writeForeign(folder, raw)
    renameSync(join(folder, 'model.safetensors'), join(folder, 'pytorch_model.bin'))
    assert.throws(() => readModelFolder(folder), /no parameters found.*pytorch_model\.bin/)
    writeFileSync(join(folder, 'config.json'), '{"vocab_size":1,"vocab_size":2}')
    assert.throws(() => readModelFolder(folder), /key "vocab_size" occurs twice/)
  }))
