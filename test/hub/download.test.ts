import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, promises, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type DownloadProgress, resolveModel } from '../../src/hub.ts'
import { refused } from '../refused.ts'
import { type Interception, large, sendBytes, sendJson } from './hub-server.ts'
import { listing, withHub } from './hub-test.ts'

const WEIGHTS = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251))
const SHA256 = createHash('sha256').update(WEIGHTS).digest('hex')
const MODEL = { 'config.json': '{}', 'tokenizer.json': '{}', 'model.safetensors': large(WEIGHTS) }
const HALF = 150_000

describe('a download', () => {
  const hub = withHub()
  const blobs = () => join(hub.home, 'hub/models--org--model/blobs')
  const isStored: (url: string | undefined) => boolean = (url) => url?.startsWith('/stored/') === true
  const ranges = () => hub.server.requests.filter(({ url }) => isStored(url)).map(({ range }) => range)
  const weights = async () => readFileSync(join(await resolveModel('org/model'), 'model.safetensors'))
  const partials = () => listing(blobs()).filter((name) => name.endsWith('.incomplete'))
  /** Answers the first `times` requests for the large file in another way. */
  const firstTimes = (times: number, answer: Interception): void => {
    let left = times
    hub.server.intercept = (request, response) => {
      if (!isStored(request.url) || left-- <= 0) return false
      return answer(request, response)
    }
  }
  /** Sends half of the file, as if there were more, and hangs up. */
  const cut: Interception = (_request, response) => {
    response.writeHead(200, { 'content-length': WEIGHTS.length })
    response.write(WEIGHTS.subarray(0, HALF), () => response.destroy())
    return true
  }

  it('goes on where the connection broke off', async () => {
    hub.server.commit('models/org/model', MODEL)
    firstTimes(1, cut)
    assert.deepEqual(await weights(), WEIGHTS)
    assert.deepEqual(ranges(), [undefined, `bytes=${HALF}-`])
    assert.deepEqual(partials(), [])
  })

  it('that was given up goes on the next time', async () => {
    hub.server.commit('models/org/model', MODEL)
    const abort = new AbortController()
    firstTimes(1, (_request, response) => {
      response.writeHead(200, { 'content-length': WEIGHTS.length })
      response.write(WEIGHTS.subarray(0, HALF))
      const poll = setInterval(() => {
        if (!partials().some((name) => statSync(join(blobs(), name)).size === HALF)) return
        clearInterval(poll)
        abort.abort(new Error('enough'))
      }, 20)
      return true
    })
    await assert.rejects(resolveModel('org/model', { signal: abort.signal }), /enough/)
    assert.equal(partials().length, 1)
    assert.ok(
      !existsSync(join(hub.home, 'hub/models--org--model/refs/main')),
      'the revision is not there yet',
    )
    hub.server.requests.length = 0
    assert.deepEqual(await weights(), WEIGHTS)
    assert.deepEqual(ranges(), [`bytes=${HALF}-`])
    assert.deepEqual(partials(), [])
  })

  it('takes over what a process left behind that is gone, and waits for one that lives', async () => {
    hub.server.commit('models/org/model', MODEL)
    const host = hostname().replaceAll(/[^\w-]/g, '_')
    mkdirSync(blobs(), { recursive: true })
    const gone = spawn(process.execPath, ['-e', ''])
    await new Promise((done) => gone.on('close', done))
    writeFileSync(join(blobs(), `${SHA256}.${host}.${gone.pid}.0.incomplete`), WEIGHTS.subarray(0, HALF))
    writeFileSync(join(blobs(), `${SHA256}.${host}.${gone.pid}.1.incomplete`), WEIGHTS.subarray(0, 9))
    writeFileSync(join(blobs(), `${SHA256}.incomplete`), 'of huggingface_hub, which may be writing to it')
    assert.deepEqual(await weights(), WEIGHTS)
    assert.deepEqual(ranges(), [`bytes=${HALF}-`])
    assert.deepEqual(partials(), [`${SHA256}.incomplete`])

    const living = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    try {
      const file = Buffer.from('other parameters')
      const sha256 = createHash('sha256').update(file).digest('hex')
      hub.server.commit('models/org/model', { ...MODEL, 'model.safetensors': large(file) })
      writeFileSync(join(blobs(), `${sha256}.${host}.${living.pid}.0.incomplete`), '')
      hub.server.requests.length = 0
      const waiting = weights()
      setTimeout(() => writeFileSync(join(blobs(), sha256), file), 500)
      assert.deepEqual(await waiting, file)
      assert.deepEqual(ranges(), [], 'the other one fetched it')
    } finally {
      living.kill()
    }
  })

  it('is made once by processes that want it at the same time', async () => {
    hub.server.commit('models/org/model', MODEL)
    // The second one begins while the first is at it.
    let second: Promise<string> | undefined
    hub.server.intercept = async (request) => {
      if (!isStored(request.url)) return false
      second ??= run()
      await new Promise((done) => setTimeout(done, 2000))
      return false
    }
    const program = `import { resolveModel } from './src/hub.ts'
      import { readFileSync } from 'node:fs'
      const folder = await resolveModel('org/model')
      console.log(readFileSync(folder + '/model.safetensors').length)`
    const run = () =>
      new Promise<string>((done) => {
        const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
          env: hub.environment(),
        })
        let said = ''
        for (const stream of [child.stdout, child.stderr]) {
          stream.on('data', (data) => {
            said += data
          })
        }
        child.on('close', () => done(said.trim()))
      })
    assert.equal(await run(), String(WEIGHTS.length))
    assert.equal(await second, String(WEIGHTS.length))
    assert.equal(ranges().length, 1)
    assert.deepEqual(readFileSync(join(blobs(), SHA256)), WEIGHTS)
    assert.deepEqual(partials(), [])
  })

  it('is made once by one process that wants it twice', async () => {
    hub.server.commit('models/org/model', MODEL)
    const [one, two] = await Promise.all([resolveModel('org/model'), resolveModel('org/model')])
    assert.equal(one, two)
    assert.equal(ranges().length, 1)
    hub.server.commit('models/org/model', { ...MODEL, 'model.safetensors': large('new') })
    const abort = new AbortController()
    hub.server.intercept = async (request) => {
      if (!isStored(request.url)) return false
      abort.abort(new Error('enough'))
      return false
    }
    const both = [resolveModel('org/model', { signal: abort.signal }), resolveModel('org/model')] as const
    await assert.rejects(both[0], /enough|abort/)
    assert.equal(
      readFileSync(join(await both[1], 'model.safetensors'), 'utf8'),
      'new',
      'the other goes on alone',
    )
  })

  it('goes on at a server that does not know ranges', async () => {
    hub.server.commit('models/org/model', MODEL)
    hub.server.intercept = (request, response) => {
      if (!isStored(request.url)) return false
      if (request.headers.range === undefined) return cut(request, response)
      delete request.headers.range
      sendBytes(request, response, WEIGHTS)
      return true
    }
    assert.deepEqual(await weights(), WEIGHTS)
  })

  it('refuses another part than it asked for', async () => {
    hub.server.commit('models/org/model', MODEL)
    hub.server.intercept = (request, response) => {
      if (!isStored(request.url)) return false
      if (request.headers.range === undefined) return cut(request, response)
      response.writeHead(206, { 'content-range': `bytes 0-${WEIGHTS.length - 1}/${WEIGHTS.length}` })
      response.end(WEIGHTS)
      return true
    }
    await assert.rejects(weights(), refused('DATA_CORRUPT', /model\.safetensors: another part of the file/))
    assert.deepEqual(partials(), [])
  })

  it('with other bytes than were listed never gets its name', async () => {
    hub.server.commit('models/org/model', MODEL)
    const other = Buffer.from(WEIGHTS)
    other[HALF] = other[HALF]! ^ 1
    hub.server.intercept = (request, response) => {
      if (!isStored(request.url)) return false
      sendBytes(request, response, other)
      return true
    }
    const wrong = refused('DATA_CORRUPT', new RegExp(`not the one that was listed.*SHA-256 ${SHA256}`))
    await assert.rejects(weights(), wrong)
    assert.deepEqual(
      listing(blobs()).filter((name) => name.startsWith(SHA256)),
      [],
    )
    hub.server.commit('models/org/model', { ...MODEL, 'config.json': '{ }' })
    hub.server.intercept = (request, response) => {
      if (!request.url?.endsWith('/config.json')) return false
      sendBytes(request, response, Buffer.from('[ ]'))
      return true
    }
    await assert.rejects(
      weights(),
      refused('DATA_CORRUPT', /config\.json: .*not the one that was listed.*git SHA-1/),
    )
  })

  it('begins again where what was left behind is spoilt', async () => {
    hub.server.commit('models/org/model', MODEL)
    mkdirSync(blobs(), { recursive: true })
    const left = join(blobs(), `${SHA256}.elsewhere.1.0.incomplete`)
    writeFileSync(left, Buffer.alloc(HALF))
    utimesSync(left, 0, 0)
    assert.deepEqual(await weights(), WEIGHTS)
    assert.deepEqual(ranges(), [`bytes=${HALF}-`, undefined])
    assert.deepEqual(partials(), [])
  })

  it('that is longer than it was listed is broken off', async () => {
    hub.server.commit('models/org/model', MODEL)
    let sent = 0
    hub.server.intercept = (request, response) => {
      if (!isStored(request.url)) return false
      response.writeHead(200)
      const more = () => {
        sent += 2 ** 16
        if (!response.destroyed && sent < 2 ** 28) response.write(Buffer.alloc(2 ** 16), more)
      }
      more()
      return true
    }
    await assert.rejects(
      weights(),
      refused('DATA_CORRUPT', /longer than it was listed; expected 300000 bytes/),
    )
    assert.deepEqual(partials(), [])
    assert.ok(sent < 2 ** 28)
  })

  it('that stands still is given up, and what has come is kept', async () => {
    process.env.HF_HUB_DOWNLOAD_TIMEOUT = '0.1'
    hub.server.commit('models/org/model', MODEL)
    hub.server.intercept = (request, response) => {
      if (!isStored(request.url)) return false
      const start = Number(/\d+/.exec(request.headers.range ?? '0')?.[0])
      response.writeHead(start === 0 ? 200 : 206, {
        'content-range': `bytes ${start}-${WEIGHTS.length - 1}/${WEIGHTS.length}`,
      })
      if (start === 0) response.write(WEIGHTS.subarray(0, HALF))
      else response.flushHeaders()
      return true
    }
    await assert.rejects(weights(), refused('UNREACHABLE', /nothing came for 0\.1 s.*what has come is kept/))
    assert.ok(ranges().length >= 5, 'it is tried again')
    const kept = statSync(join(blobs(), partials()[0]!)).size
    assert.ok(kept > 0)
    delete process.env.HF_HUB_DOWNLOAD_TIMEOUT
    hub.server.intercept = undefined
    hub.server.requests.length = 0
    assert.deepEqual(await weights(), WEIGHTS)
    assert.deepEqual(ranges(), [`bytes=${kept}-`])
  })

  it('that does not fit is refused before it begins', async (t) => {
    // A disk with 1 GiB left, since no size that a hub may announce is too large for every real one.
    t.mock.method(promises, 'statfs', async () => ({ bavail: 2 ** 18, bsize: 4096 }))
    syncBuiltinESMExports()
    t.after(() => {
      t.mock.restoreAll()
      syncBuiltinESMExports()
    })
    const bytes = 2 ** 34
    hub.server.commit('models/org/model', MODEL)
    hub.server.intercept = (request, response) => {
      if (!request.url?.includes('/tree/')) return false
      const oid = createHash('sha1').update('blob 2\0{}').digest('hex')
      sendJson(response, [
        { type: 'file', path: 'config.json', size: 2, oid },
        { type: 'file', path: 'model.safetensors', size: bytes, oid: 'b'.repeat(40) },
      ])
      return true
    }
    const full = refused('DISK_FULL', /no room on the disk.*model\.safetensors.*HF_HUB_CACHE/)
    await assert.rejects(resolveModel('org/model'), full)
    assert.deepEqual(ranges(), [])
  })

  it('tells how far it is', async () => {
    hub.server.commit('models/org/model', MODEL)
    const seen: DownloadProgress[] = []
    await resolveModel('org/model', { onProgress: (progress) => seen.push(progress) })
    const totalBytes = WEIGHTS.length + 4
    assert.ok(seen.every(({ id, totalBytes: total }) => id === 'org/model' && total === totalBytes))
    const bytes = seen.map((progress) => progress.bytes)
    assert.deepEqual(
      bytes,
      [...bytes].sort((a, b) => a - b),
    )
    assert.equal(bytes.at(-1), totalBytes)
    seen.length = 0
    await resolveModel('org/model', { onProgress: (progress) => seen.push(progress) })
    assert.deepEqual(seen, [], 'nothing is fetched')
  })
})
