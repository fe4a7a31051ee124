import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type BuildTools, buildCommands } from '../src/build.ts'

const SOURCE = join(dirname(fileURLToPath(import.meta.url)), '..', 'src')

const everything: BuildTools = {
  compiler: true,
  cmake: true,
  make: true,
  python: true,
  cmakeJs: '/m/cmake-js',
  nodeGyp: '/m/node-gyp.js',
  nodeDir: '/usr',
}

describe('coppice build', () => {
  it('takes CMake where it is installed, and configures every time', () => {
    const [configure, build] = buildCommands({ jobs: 3 }, everything)
    assert.deepEqual([configure!.args[0], configure!.args[1]], ['/m/cmake-js', 'configure'])
    assert.deepEqual([build!.tool, build!.args[1]], ['cmake', 'build'])
    assert.deepEqual(build!.args.slice(-2), ['--parallel', '3'])
    assert.equal(buildCommands({ clean: true }, everything)[0]!.args[1], 'reconfigure')
  })

  it('takes node-gyp where there is no CMake, with the headers that this Node brings', () => {
    const commands = buildCommands({ jobs: 2 }, { ...everything, cmake: false })
    assert.deepEqual(
      commands.map(({ tool, args }) => [tool, args[0], args[1]]),
      [
        ['gyp', '/m/node-gyp.js', 'configure'],
        ['gyp', '/m/node-gyp.js', 'build'],
      ],
    )
    assert.ok(commands[0]!.args.includes('--nodedir=/usr'))
    const without = buildCommands({ tool: 'gyp', clean: true }, { ...everything, nodeDir: undefined })
    assert.deepEqual(
      without.map(({ args }) => args[1]),
      ['rebuild'],
    )
    assert.ok(without[0]!.args.every((arg) => !arg.startsWith('--nodedir')))
  })

  it('says in one line what to install', () => {
    const bare = { ...everything, compiler: false, make: false, cmake: false, nodeGyp: undefined }
    assert.throws(() => buildCommands({}, bare), {
      code: 'DEVICE_UNAVAILABLE',
      message:
        /^the addon cannot be built: install a C\+\+20 compiler .*, and make, and CMake 3.22 or newer$/,
    })
    assert.throws(() => buildCommands({ tool: 'gyp' }, { ...everything, python: false }), /install Python 3/)
    assert.throws(() => buildCommands({ jobs: 0 }, everything), /buildAddon.jobs/)
  })
})

describe('an addon that is not there', () => {
  const folder = mkdtempSync(join(tmpdir(), 'coppice-unbuilt-'))
  const run = () =>
    spawnSync(
      process.execPath,
      [
        '--import',
        import.meta.resolve('tsx'),
        '--input-type=module',
        '--eval',
        `import { addon } from ${JSON.stringify(join(folder, 'src/native.ts'))}
         try { addon() } catch (error) { console.log(JSON.stringify([error.code, error.message])) }`,
      ],
      { encoding: 'utf8', timeout: 60_000 },
    ).stdout

  it('is an error that says what to do, and so is one that is damaged', () => {
    try {
      writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
      for (const name of ['native.ts', 'errors.ts', 'native']) {
        cpSync(join(SOURCE, name), join(folder, 'src', name), { recursive: true })
      }
      const [code, message] = JSON.parse(run()) as [string, string]
      assert.equal(code, 'DEVICE_UNAVAILABLE')
      assert.match(
        message,
        /not built yet; expected .*build\/Release\/coppice\.node \(run `npx coppice build`\)/,
      )
      mkdirSync(join(folder, 'build/Release'), { recursive: true })
      writeFileSync(join(folder, 'build/Release/coppice.node'), 'not a library')
      assert.match(
        (JSON.parse(run()) as [string, string])[1],
        /does not load: .*run `npx coppice build` again/,
      )
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
