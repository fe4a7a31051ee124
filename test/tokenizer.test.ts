import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { defaultConfig } from '../src/checkpoint.ts'
import { Policy } from '../src/policy.ts'
import { Tokenizer, writeTokenizer } from '../src/tokenizer.ts'
import { characterTokenizer, type TokenizerDefinition, wordTokenizer } from '../src/tokenizer-definition.ts'

const dir = await mkdtemp(join(tmpdir(), 'coppice-tokenizer-'))
after(() => rm(dir, { recursive: true }))

const words = wordTokenizer(['0', '1', '[12]', '+', ':', '__proto__', 'é', '<a>'])
const characters = characterTokenizer('0123456789+-*()= \n😀é<end')

// Ids and decoded texts as Hugging Face's own library (Python, tokenizers 0.23.3) gives them for the written files.
const golden: [TokenizerDefinition, string, number[], string, string][] = [
  [words, '0 1 [12] +', [0, 1, 2, 3], '0 1 [12] +', '0 1 [12] +'],
  [words, '  0\t1\n[12] : ', [0, 1, 2, 4], '0 1 [12] :', '0 1 [12] :'],
  [words, '0 1<end>', [0, 1, 8], '0 1 <end>', '0 1'],
  [words, '0 <end> 1', [0, 8, 1], '0 <end> 1', '0 1'],
  [words, '', [], '', ''],
  [words, '__proto__ é <a>', [5, 6, 7], '__proto__ é <a>', '__proto__ é <a>'],
  [characters, '12+3=\n 😀é', [1, 2, 10, 3, 15, 17, 16, 18, 19], '12+3=\n 😀é', '12+3=\n 😀é'],
  [characters, '12<end>', [1, 2, 24], '12<end>', '12'],
  [characters, '<end><end>3', [24, 24, 3], '<end><end>3', '3'],
  [characters, '<endd', [20, 21, 22, 23, 23], '<endd', '<endd'],
  [characters, ' ', [16], ' ', ' '],
]

async function written(definition: TokenizerDefinition): Promise<Tokenizer> {
  const folder = join(dir, definition.level)
  await writeTokenizer(folder, definition)
  return Tokenizer.load(folder)
}

describe('tokenizer', () => {
  it('encodes and decodes as the reference library does with the same files', async () => {
    for (const [definition, text, ids, decoded, withoutSpecial] of golden) {
      const tokenizer = await written(definition)
      assert.deepEqual(tokenizer.encode(text), Int32Array.from(ids), text)
      assert.equal(tokenizer.decode(ids), decoded)
      assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), withoutSpecial)
    }
  })

  it('knows its size, its end token and its tokens', async () => {
    const tokenizer = await written(words)
    assert.equal(tokenizer.vocabSize, 9)
    assert.equal(tokenizer.eosTokenId, 8)
    assert.equal(tokenizer.config.eos_token, '<end>')
    assert.deepEqual(tokenizer.decodeTokens(Int32Array.of(2, 8, 0)), ['[12]', '<end>', '0'])
    assert.equal(tokenizer.tokenId('+'), 3)
    assert.equal(tokenizer.tokenId('nothing'), undefined)
    assert.equal(Tokenizer.fromDefinition({ level: 'word', tokens: ['a'] }).eosTokenId, undefined)
  })

  it('is the same from a definition as from the files', async () => {
    for (const [definition, text] of golden) {
      assert.deepEqual(
        Tokenizer.fromDefinition(definition).encode(text),
        (await written(definition)).encode(text),
      )
    }
  })

  it('is saved with a policy, also with one that never had a folder', async () => {
    const [made, again] = [join(dir, 'with-tokenizer'), join(dir, 'with-tokenizer-again')]
    const tokenizer = Tokenizer.fromDefinition(characterTokenizer('abc'))
    const size = { hiddenSize: 16, numLayers: 1, numHeads: 2, intermediateSize: 16, maxPositions: 16 }
    const config = defaultConfig({ ...size, vocabSize: tokenizer.vocabSize })
    await using policy = await Policy.init({ config, tokenizer })
    await policy.save(made)
    await using loaded = await Policy.load({ model: made })
    assert.deepEqual(loaded.tokenizer!.encode('cab'), tokenizer.encode('cab'))
    await loaded.save(again)
    await loaded.tokenizer!.save(join(dir, 'tokenizer-alone'))
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      const text = await readFile(join(made, name), 'utf8')
      assert.equal(await readFile(join(again, name), 'utf8'), text)
      assert.equal(await readFile(join(dir, 'tokenizer-alone', name), 'utf8'), text)
    }
  })

  it('refuses text and ids outside the vocabulary', async () => {
    const tokenizer = await written(words)
    assert.throws(() => tokenizer.encode('0 zzz'), { code: 'INVALID_ARGUMENT', message: /lacks "zzz"/ })
    assert.throws(() => tokenizer.decode([0, 9]), { code: 'INVALID_ARGUMENT', message: /0 to 8; received 9/ })
    assert.throws(() => tokenizer.decode([-1]), { code: 'INVALID_ARGUMENT' })
    assert.throws(() => tokenizer.decodeTokens([0.5]), { code: 'INVALID_ARGUMENT' })
    assert.throws(() => tokenizer.decode([0], { skipSpecial: true } as never), { code: 'INVALID_ARGUMENT' })
  })

  it('refuses missing and broken files by name', async () => {
    const folder = join(dir, 'broken')
    await assert.rejects(Tokenizer.load(folder), { code: 'INVALID_ARGUMENT', message: /tokenizer\.json/ })
    await writeTokenizer(folder, words)
    const [json, config] = [join(folder, 'tokenizer.json'), join(folder, 'tokenizer_config.json')]
    const good = await readFile(json, 'utf8')
    for (const bad of ['{', '[]', '{}', '{"model":{"type":"WordLevel"}}', '{"model":{"type":"Nonsense"}}']) {
      await writeFile(json, bad)
      await assert.rejects(Tokenizer.load(folder), { code: 'DATA_CORRUPT', message: /tokenizer\.json/ }, bad)
    }
    await writeFile(json, good)
    await writeFile(config, JSON.stringify({ eos_token: '<stop>' }))
    await assert.rejects(Tokenizer.load(folder), {
      code: 'DATA_CORRUPT',
      message: /"<stop>" is not in the vocabulary/,
    })
    await rm(config)
    await assert.rejects(Tokenizer.load(folder), {
      code: 'INVALID_ARGUMENT',
      message: /tokenizer_config\.json/,
    })
  })

  it('reads an end token that is written as an object', async () => {
    const folder = join(dir, 'object')
    await writeTokenizer(folder, words)
    await writeFile(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ eos_token: { content: '<end>' } }),
    )
    assert.equal((await Tokenizer.load(folder)).eosTokenId, 8)
  })

  it('refuses definitions that no file can express', () => {
    const bad: [TokenizerDefinition, RegExp][] = [
      [{ level: 'word', tokens: ['a', 'a'] }, /"a" stands twice/],
      [{ level: 'word', tokens: ['a b'] }, /white space/],
      [{ level: 'word', tokens: [''] }, /empty/],
      [{ level: 'character', tokens: ['ab'] }, /not one character/],
      [{ level: 'word', tokens: ['a'], endToken: '<end>' }, /missing/],
      [{ level: 'line', tokens: ['a'] } as never, /word or character/],
    ]
    for (const [definition, message] of bad) {
      assert.throws(() => Tokenizer.fromDefinition(definition), { code: 'INVALID_ARGUMENT', message })
    }
  })
})
