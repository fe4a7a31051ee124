import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { coppice } from './command-line.ts'

describe('usage of the command line', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-usage-'))
  })
  after(() => rm(folder, { recursive: true }))

  const refused = async (args: string[], message: RegExp) => {
    const { code, stdout, stderr } = await coppice(args)
    assert.equal(code, 2, stderr)
    assert.equal(stdout, '')
    assert.match(stderr, message)
    assert.doesNotMatch(stderr, /\n\s+at /)
  }

  it('lists every verb', async () => {
    const { code, stdout } = await coppice(['--help'])
    assert.equal(code, 0)
    const verbs = [
      ...[
        'experiment',
        'init',
        'sft',
        'train',
        'generate',
        'verify',
        'score',
        'grad',
        'eval',
        'report',
        'inspect',
      ],
      ...['doctor', 'bench', 'build', 'task'],
    ]
    for (const verb of verbs) assert.match(stdout, new RegExp(`coppice ${verb}\\b`))
  })

  it('refuses what it does not know, naming what may have been meant', async () => {
    await refused(['trian'], /Did you mean train\?/)
    await refused(['train', '--lamda', '0.1'], /unknown flag --lamda \(did you mean --lambda\?\)/)
    await refused(['score'], /Missing required arguments: model, in, out/)
    await refused([], /name a verb/)
  })

  it('refuses values of the wrong kind by the name of the flag', async () => {
    const sft = ['sft', '--model', 'm', '--in', 'i', '--out', join(folder, 'o')]
    await refused([...sft, '--steps', 'many'], /--steps: not a number/)
    await refused([...sft, '--steps', '1', '--steps', '2'], /--steps: given more than once/)
    await refused([...sft, '--steps'], /Not enough arguments following: steps/)
    const train = [
      'train',
      '--model',
      'm',
      '--prompts',
      'p',
      '--verifier',
      'walk',
      '--out',
      join(folder, 'o'),
    ]
    await refused([...train, '--objective', 'nrs'], /objective.*nrs/is)
    await refused([...train, '--objective', 'psr', '--lambda', '0.1'], /unknown option 'lambda'/)
    const rloo = [...train, '--objective', 'rloo']
    await refused([...rloo, '--num-generations', '1'], /numGenerations: 1 cannot be: 'rloo' measures/)
    await refused([...rloo, '--scale-rewards', 'group'], /scaleRewards: "group" cannot be: 'rloo'/)
  })

  it('refuses formats and files by name', async () => {
    await refused(['generate', '--model', 'm', '--in', 'i', '--out', 'o.csv'], /o\.csv.*\.arrow or \.jsonl/)
    const absent = join(folder, 'absent.jsonl')
    await refused(
      ['verify', '--verifier', 'walk', '--in', absent, '--out', join(folder, 'o.jsonl')],
      /absent\.jsonl/,
    )
    await refused(['inspect', join(folder, 'absent')], /absent/)
    const odd = join(folder, 'odd.txt')
    await writeFile(odd, 'x')
    await refused(['inspect', odd], /odd\.txt: not recognised/)
  })

  it('prints the stack only with --debug', async () => {
    const { stderr } = await coppice(['inspect', join(folder, 'odd.txt'), '--debug'])
    assert.match(stderr, /\n\s+at /)
  })

  it('says what this machine can do', async () => {
    const { stdout } = await coppice(['doctor', '--json'])
    const { findings } = JSON.parse(stdout)
    const found = findings.map(({ what }: { what: string }) => what)
    for (const what of [
      'Node.js',
      'native addon',
      'C++ compiler',
      'CMake',
      'memory',
      'instruction sets',
      'PNG charts',
    ]) {
      assert.ok(found.includes(what), what)
    }
  })
})
