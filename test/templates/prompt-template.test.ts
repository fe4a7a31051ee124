import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  chatTemplateNames,
  encodePrompt,
  loadPromptTemplate,
  makeBatch,
  promptsOf,
  readChatTemplate,
  requireRunnable,
  Tokenizer,
} from '../../src/index.ts'

const FIXTURES = fileURLToPath(new URL('../oracle/fixtures/templates/', import.meta.url))
const [qwen, llama] = [join(FIXTURES, 'qwen2'), join(FIXTURES, 'llama3')]
const dir = await mkdtemp(join(tmpdir(), 'coppice-templates-'))
after(() => rm(dir, { recursive: true }))

const user = [{ role: 'user', content: 'hi' }]

async function folder(name: string, files: Record<string, unknown>): Promise<string> {
  const path = join(dir, name)
  await mkdir(join(path, 'additional_chat_templates'), { recursive: true })
  for (const [file, content] of Object.entries(files)) {
    await writeFile(join(path, file), typeof content === 'string' ? content : JSON.stringify(content))
  }
  return path
}

describe("a model folder's chat template", () => {
  it('is found where transformers finds it', async () => {
    const named = [
      { name: 'default', template: 'D {{ bos_token }}' },
      { name: 'tool_use', template: 'T' },
    ]
    const config = (chat_template: unknown) => ({ chat_template, bos_token: { content: '<s>' } })
    const one = await folder('one', { 'tokenizer_config.json': config('A{{ bos_token }}') })
    assert.equal((await readChatTemplate(one)).render(user), 'A<s>')

    const list = await folder('list', { 'tokenizer_config.json': config(named) })
    assert.deepEqual(await chatTemplateNames(list), ['default', 'tool_use'])
    assert.equal((await readChatTemplate(list)).render(user), 'D <s>')
    assert.equal((await readChatTemplate(list, { withTools: true })).render(user), 'T')
    assert.equal((await readChatTemplate(list, { name: 'tool_use' })).render(user), 'T')
    await assert.rejects(readChatTemplate(list, { name: 'tool_user' }), {
      code: 'INVALID_ARGUMENT',
      message: /did you mean 'tool_use'/,
    })

    const json = await folder('json', {
      'tokenizer_config.json': config('A'),
      'chat_template.json': { chat_template: 'J' },
    })
    assert.equal((await readChatTemplate(json)).render(user), 'J')

    const file = await folder('file', {
      'tokenizer_config.json': config('A'),
      'chat_template.jinja': 'F{{ bos_token }}\n',
      'additional_chat_templates/rag.jinja': 'R',
    })
    assert.deepEqual(await chatTemplateNames(file), ['default', 'rag'])
    assert.equal((await readChatTemplate(file)).render(user), 'F<s>')
    assert.equal((await loadPromptTemplate({ template: 'chat:rag', model: file })).render('x'), 'R')
  })

  it('is refused by file and place', async () => {
    const none = await folder('none', { 'tokenizer_config.json': {} })
    await assert.rejects(readChatTemplate(none), {
      code: 'INVALID_ARGUMENT',
      message: /none: no chat template/,
    })
    for (const [i, content] of [
      '{',
      '[]',
      { chat_template: 3 },
      { chat_template: [{ name: 'x' }] },
    ].entries()) {
      const bad = await folder(`bad${i}`, { 'tokenizer_config.json': content })
      await assert.rejects(readChatTemplate(bad), { code: 'DATA_CORRUPT', message: /tokenizer_config\.json/ })
    }
    const broken = await folder('broken', { 'chat_template.jinja': '\n{% if %}' })
    await assert.rejects(readChatTemplate(broken), {
      code: 'DATA_CORRUPT',
      message: /chat_template\.jinja, line 2/,
    })
  })
})

describe('prompt template', () => {
  it("gives the paper's raw prompts by name", async () => {
    const raw = (system: string, opening: string) =>
      `<|im_start|>system\n${system}<|im_end|>\n<|im_start|>user\n1+1?\nPlease reason step by step, and put your final ` +
      `answer within \\boxed{}.<|im_end|>\n<|im_start|>assistant\n${opening}`
    const helpful = 'You are a helpful assistant.'
    const text = async (template: string, system?: string) =>
      (await loadPromptTemplate({ template, ...(system !== undefined && { system }) })).render('1+1?')
    assert.equal(await text('qwen-math'), raw(helpful, ''))
    assert.equal(await text('qwen3-math'), raw(helpful, '<think>\n\n</think>\n\n'))
    assert.equal(await text('qwen-math', 'Be brief.'), raw('Be brief.', ''))
    assert.equal(await text('none'), '1+1?')
  })

  it("puts a prompt into the model's own chat, thinking or not", async () => {
    const template = await loadPromptTemplate({
      template: 'chat',
      model: qwen,
      system: 'S',
      enableThinking: false,
    })
    const turns = '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n'
    assert.equal(template.render('1+1?'), `${turns}<think>\n\n</think>\n\n`)
    const thinking = await loadPromptTemplate({
      template: 'chat',
      model: qwen,
      system: 'S',
      enableThinking: true,
    })
    assert.equal(thinking.render('1+1?'), turns)
    const file = await loadPromptTemplate({ template: join(FIXTURES, 'qwen2.5.jinja'), model: qwen })
    assert.match(file.render('x'), /^<\|im_start\|>system\nYou are Qwen/)
  })

  it('never adds a special token twice', async () => {
    const tokenizer = await Tokenizer.load(llama)
    const begin = tokenizer.tokenId('<|begin_of_text|>')!
    const date = new Date(2024, 6, 26)
    const chat = await loadPromptTemplate({ template: 'chat', model: llama, date })
    const none = await loadPromptTemplate()
    for (const template of [chat, none]) {
      const ids = encodePrompt(tokenizer, template, 'hi')
      assert.deepEqual([ids[0], ids.filter((id) => id === begin).length], [begin, 1], template.name)
    }
    assert.ok(tokenizer.isSpecial(begin) && !tokenizer.isSpecial(tokenizer.encode('hi')[1]!))
  })

  it('is refused by name where it makes no sense', async () => {
    const refused: [Parameters<typeof loadPromptTemplate>[0], RegExp][] = [
      [{ template: 'qwen-maths' }, /did you mean 'qwen-math'/],
      [{ template: 'nothing-like-it' }, /one of none, chat, qwen-math/],
      [{ template: './no-such.jinja' }, /no-such\.jinja: no such file/],
      [{ template: 'chat' }, /the model's folder/],
      [{ system: 'S' }, /'none' takes no system/],
      [{ template: 'qwen-math', enableThinking: true }, /takes no enableThinking/],
      [{ templates: 'chat' } as never, /did you mean 'template'/],
    ]
    for (const [options, message] of refused) {
      await assert.rejects(loadPromptTemplate(options), { code: 'INVALID_ARGUMENT', message })
    }
  })

  it('is applied to prompts as text, and refused on tokens', async () => {
    const tokenizer = await Tokenizer.load(qwen)
    const template = await loadPromptTemplate({ template: 'qwen-math' })
    const [row] = promptsOf(makeBatch(1, { prompt: ['1+1?'] }), tokenizer, 'f', template)
    assert.equal(row!.prompt, '1+1?')
    assert.equal(tokenizer.decode(row!.promptTokens), template.render('1+1?'))
    const tokens = { values: Int32Array.of(1), offsets: Int32Array.of(0, 1) }
    assert.throws(() => promptsOf(makeBatch(1, { prompt_tokens: tokens }), tokenizer, 'f', template), {
      code: 'INVALID_ARGUMENT',
      message: /prompt_tokens under the template 'qwen-math'/,
    })
  })
})

describe('the check before a run', () => {
  const prompts = [4, 7, 5].map((length, i) => ({ promptId: `p${i}`, promptTokens: new Int32Array(length) }))

  it('refuses prompts that leave too little room, by the longest', () => {
    const policy = { config: { maxPositions: 12, vocabSize: 9 }, tokenizer: undefined, stopTokens: [8] }
    requireRunnable(policy, prompts, 5)
    requireRunnable(policy, [], 500)
    assert.throws(() => requireRunnable(policy, prompts, 6), {
      code: 'INVALID_ARGUMENT',
      message:
        /prompt "p1": 7 tokens and a completion of up to 6 .* 12; expected a completion limit of at most 5/,
    })
    const small = { ...policy, config: { maxPositions: 7, vocabSize: 9 } }
    assert.throws(() => requireRunnable(small, prompts, 1), { message: /a prompt of less than 7/ })
  })

  it('refuses stop tokens that cannot occur', async () => {
    const tokenizer = await Tokenizer.load(qwen)
    const policy = { config: { maxPositions: 99, vocabSize: 5000 }, tokenizer }
    requireRunnable({ ...policy, stopTokens: [tokenizer.eosTokenId!] }, prompts, 1)
    requireRunnable({ ...policy, stopTokens: [] }, prompts, 1)
    for (const token of [4000, 6000]) {
      assert.throws(() => requireRunnable({ ...policy, stopTokens: [token] }, prompts, 1), {
        code: 'INVALID_ARGUMENT',
        message: new RegExp(`stop token ${token} cannot occur`),
      })
    }
  })
})
