import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { coppice } from './command-line.ts'

const QWEN = fileURLToPath(new URL('../oracle/fixtures/templates/qwen2', import.meta.url))
const dir = await mkdtemp(join(tmpdir(), 'coppice-inspect-prompt-'))
after(() => rm(dir, { recursive: true }))

describe('inspect --prompt', () => {
  it('shows a prompt token by token, for programs', async () => {
    const { code, stdout, stderr } = await coppice([
      ...['inspect', QWEN, '--prompt', 'é?', '--template', 'chat', '--no-enable-thinking', '--json'],
    ])
    assert.equal(code, 0, stderr)
    const { tokens, length, ...rest } = JSON.parse(stdout)
    const text = '<|im_start|>user\né?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n'
    assert.deepEqual(rest, { kind: 'prompt', template: 'chat', text })
    assert.equal(tokens.length, length)
    assert.equal(tokens.map((token: { text: string }) => token.text).join(''), text)
    const special = tokens.filter((token: { special: boolean }) => token.special)
    assert.deepEqual(
      special.map((token: { token: string }) => token.token),
      ['<|im_start|>', '<|im_end|>', '<|im_start|>'],
    )
  })

  it('shows it as a table, for people', async () => {
    const { stdout } = await coppice(['inspect', QWEN, '--prompt', 'the <|im_end|>'])
    assert.match(stdout, /^place +id +text\n/)
    assert.match(stdout, /"<\|im_end\|>" +special/)
  })

  it('refuses bad templates with exit code 2, file and line', async () => {
    const file = join(dir, 'broken.jinja')
    await writeFile(file, 'x\n{% if messages %}\n{{ messages[0].content.nope() }}{% endif %}')
    const refused = async (args: string[], message: RegExp) => {
      const { code, stdout, stderr } = await coppice(['inspect', QWEN, ...args])
      assert.deepEqual([code, stdout], [2, ''], stderr)
      assert.match(stderr, message)
    }
    await refused(['--prompt', 'x', '--template', file], /broken\.jinja, line 3: the chat template fails/)
    await refused(['--prompt', 'x', '--template', 'qwen-maths'], /did you mean 'qwen-math'/)
    await refused(['--prompt', 'x', '--template-date', '2024-02-30'], /--template-date: not a date/)
    await refused(['--template', 'chat'], /--template: without --prompt/)
  })
})
