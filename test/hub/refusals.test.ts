import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { hubSettings, resolveData, resolveModel } from '../../src/hub.ts'
import { refused } from '../refused.ts'
import { end, type Interception, large, sendJson } from './hub-server.ts'
import { listing, withHub } from './hub-test.ts'

const MODEL = { 'config.json': '{}', 'tokenizer.json': '{}', 'model.safetensors': large('parameters') }

describe('access to the hub', () => {
  const hub = withHub()

  it('says what to do where there is no such model, or nobody is to know of it', async () => {
    hub.server.commit('models/org/secret', MODEL, { access: 'private' })
    const absent =
      /no such path here, and no model of this name on 127\.0\.0\.1:\d+, or a private one.*HF_TOKEN/
    for (const id of ['org/secret', 'org/none'])
      await assert.rejects(resolveModel(id), refused('NOT_FOUND', absent))
    await assert.rejects(resolveData('org/none'), refused('NOT_FOUND', /no data set of this name/))
    process.env.HF_TOKEN = 'hf_wrong'
    await assert.rejects(resolveModel('org/secret'), (error) => {
      assert.doesNotMatch(String((error as Error).stack), /hf_wrong/)
      return refused('NOT_FOUND', /one was found in HF_TOKEN/)(error)
    })
    process.env.HF_TOKEN = hub.server.token
    await resolveModel('org/secret')
  })

  it('tells how to get at a gated model', async () => {
    hub.server.commit('models/org/gated', MODEL, { access: 'gated' })
    const gated =
      /a gated model.*expected access, asked for at http:\/\/127\.0\.0\.1:\d+\/org\/gated, and a token/
    await assert.rejects(resolveModel('org/gated'), refused('ACCESS_DENIED', gated))
    process.env.HF_TOKEN = hub.server.token
    await resolveModel('org/gated')
    hub.server.intercept = (_request, response) => {
      end(response, 403)
      return true
    }
    await assert.rejects(
      resolveModel('org/gated'),
      refused('ACCESS_DENIED', /HTTP 403.*one was found in HF_TOKEN/),
    )
  })

  it('takes the token from the environment or from the file of HF_HOME', async () => {
    hub.server.commit('models/org/secret', MODEL, { access: 'private' })
    const fetched = async () => (await resolveModel('org/secret')).length > 0
    writeFileSync(join(hub.home, 'token'), `${hub.server.token}\n`)
    assert.ok(await fetched())
    process.env.HF_HUB_DISABLE_IMPLICIT_TOKEN = '1'
    await assert.rejects(fetched(), refused('NOT_FOUND', /private/))
    delete process.env.HF_HUB_DISABLE_IMPLICIT_TOKEN
    process.env.HUGGING_FACE_HUB_TOKEN = 'hf_old'
    await assert.rejects(fetched(), refused('NOT_FOUND', /HUGGING_FACE_HUB_TOKEN/))
    process.env.HF_TOKEN = hub.server.token
    assert.ok(await fetched())
    process.env.HF_TOKEN = 'hf_a\u00e4b'
    assert.throws(hubSettings, (error) => {
      assert.doesNotMatch(String(error), /hf_a/)
      return refused('INVALID_ARGUMENT', /HF_TOKEN: not a token/)(error)
    })
  })

  it('gives the token to the hub alone, never to the storage it redirects to', async () => {
    process.env.HF_TOKEN = hub.server.token
    hub.server.commit('models/org/model', MODEL)
    await resolveModel('org/model')
    const storage = new URL(hub.server.storage).host
    const [away, home] = [true, false].map((isAway) =>
      hub.server.requests.filter(({ host }) => (host === storage) === isAway),
    )
    assert.ok(away!.length > 0 && home!.length > 0)
    assert.ok(home!.every(({ authorization }) => authorization === `Bearer ${hub.server.token}`))
    assert.ok(away!.every(({ authorization }) => authorization === undefined))
  })

  it('follows a repository that was renamed', async () => {
    hub.server.commit('models/org/new', MODEL)
    hub.server.intercept = (request, response) => {
      if (!request.url?.includes('/org/old')) return false
      response.writeHead(307, { location: request.url.replace('/org/old', '/org/new') })
      response.end()
      return true
    }
    assert.match(await resolveModel('org/old'), /models--org--old/)
  })

  it('refuses settings that mean nothing', async () => {
    for (const [name, value] of [
      ['HF_ENDPOINT', 'huggingface.co'],
      ['HF_ENDPOINT', 'ftp://huggingface.co'],
      ['HF_HUB_ETAG_TIMEOUT', 'soon'],
      ['HF_HUB_DOWNLOAD_TIMEOUT', '-1'],
    ] as const) {
      const saved = process.env[name]
      process.env[name] = value
      assert.throws(hubSettings, refused('INVALID_ARGUMENT', new RegExp(name)))
      if (saved === undefined) delete process.env[name]
      else process.env[name] = saved
    }
    await assert.rejects(
      resolveModel('org/model', { revison: 'x' } as never),
      refused('INVALID_ARGUMENT', /revision/),
    )
  })
})

describe('a hostile hub', () => {
  const hub = withHub()
  /** Answers requests whose address fits in another way, the others as ever. */
  const answering = (address: RegExp, answer: Interception): void => {
    hub.server.commit('models/org/model', MODEL)
    hub.server.intercept = (request, response) => address.test(request.url ?? '') && answer(request, response)
  }
  const json = (value: unknown): Interception => {
    return (_request, response) => {
      sendJson(response, value)
      return true
    }
  }
  const refuses = async (code: Parameters<typeof refused>[0], message: RegExp) => {
    await assert.rejects(resolveModel('org/model'), refused(code, message))
    for (const path of listing(hub.home))
      assert.match(path, /^hub\/(models--org--model|datasets--org--data)\//)
  }
  const OID = '9e26dfeeb6e641a33dae4961196235bdb965b21b'
  const tree = (entry: object) => json([{ type: 'file', size: 2, oid: OID, path: 'config.json', ...entry }])

  it('gets no file out of the cache by its name', async () => {
    const names = [
      '../../../../x',
      '/etc/x',
      'a/../../x',
      'a//x',
      './x',
      'a/.',
      '..',
      '',
      'a\\..\\x',
      'x\0',
      'x\n',
    ]
    for (const path of [...names, 'x'.repeat(300), 'a/'.repeat(600), 7, null]) {
      answering(/\/tree\//, tree({ path }))
      await refuses('DATA_CORRUPT', /a file name that leads elsewhere/)
    }
  })

  it('announces no sizes and checksums that do not exist', async () => {
    for (const size of [-1, 1.5, 2 ** 60, '2', null]) {
      answering(/\/tree\//, tree({ size }))
      await refuses('DATA_CORRUPT', /config\.json: a size that no file has/)
    }
    answering(/\/tree\//, tree({ size: 2 ** 31, path: 'tokenizer.json' }))
    await refuses('DATA_CORRUPT', /tokenizer\.json: too large for what it should be/)
    for (const oid of ['../../x', '', 'A'.repeat(40), 7, undefined, `${OID}/x`]) {
      answering(/\/tree\//, tree({ oid }))
      await refuses('DATA_CORRUPT', /config\.json: a file without a checksum/)
    }
  })

  it('names no commit that is none', async () => {
    for (const sha of ['../../../x', '', 'main', 7, null, undefined, 'g'.repeat(40)]) {
      answering(/\/revision\//, json({ id: 'org/model', sha }))
      await refuses('DATA_CORRUPT', /the hub names no commit/)
    }
  })

  it('may not give a file and a folder one name', async () => {
    const file = { type: 'file', size: 2, oid: OID }
    const folder = { ...file, path: 'additional_chat_templates' }
    const within = { ...file, path: 'additional_chat_templates/a.jinja' }
    hub.server.commit('datasets/org/data', {})
    hub.server.intercept = (request, response) => {
      if (request.url?.includes('/tree/'))
        sendJson(response, [
          { ...file, path: 'a.json' },
          { ...file, path: 'a.json/b.json' },
        ])
      else if (request.url?.includes('/resolve/')) response.end('{}')
      else return false
      return true
    }
    await assert.rejects(
      resolveData('hf://datasets/org/data/**'),
      refused('DATA_CORRUPT', /a file and a folder of the same name/),
    )
    answering(/\/tree\//, json([folder, within]))
    await refuses('NOT_FOUND', /not a model/)
  })

  it('sends JSON, or is told that it does not', async () => {
    const send = (body: string, type = 'text/html'): Interception => {
      return (_request, response) => {
        response.setHeader('content-type', type)
        response.end(body)
        return true
      }
    }
    for (const body of ['<html>Sign in to the Wi-Fi</html>', '', '{"sha":', `[${'['.repeat(20_000)}`]) {
      answering(/\/revision\//, send(body))
      await refuses(
        'DATA_CORRUPT',
        /the hub's answer is (not JSON|JSON that is nested too deep).*HF_ENDPOINT/,
      )
    }
    for (const value of [{}, 7, null, [null], { error: 'x' }]) {
      answering(/\/tree\//, json(value))
      await refuses('DATA_CORRUPT', /the hub's answer has another shape/)
    }
    answering(/\/revision\//, json(null))
    await refuses('DATA_CORRUPT', /the hub's answer has another shape/)
    answering(/\/revision\//, send('9'.repeat(17 * 2 ** 20)))
    await refuses('DATA_CORRUPT', /the hub's answer is too long/)
  })

  it('redirects within bounds, and to http and https alone', async () => {
    const redirect = (location: string): Interception => {
      return (_request, response) => {
        response.writeHead(302, { location })
        response.end()
        return true
      }
    }
    answering(/\/revision\//, redirect('/api/models/org/model/revision/again'))
    await refuses('DATA_CORRUPT', /redirects without an end/)
    for (const location of ['file:///etc/passwd', 'data:application/json,{}', 'http://', '']) {
      hub.server.requests.length = 0
      answering(/\/revision\//, redirect(location))
      await refuses(
        'DATA_CORRUPT',
        location === '' ? /redirects without an end/ : /a redirect that cannot be followed/,
      )
    }
  })

  it('ends its listings, and keeps them on its own address', async () => {
    const next = (address: (url: string) => string): Interception => {
      return (request, response) => {
        response.setHeader('link', `<${address(hub.server.endpoint + request.url)}>; rel="next"`)
        sendJson(response, [])
        return true
      }
    }
    answering(
      /\/tree\//,
      next((url) => url),
    )
    await refuses('DATA_CORRUPT', /too many files/)
    let asked = 0
    const stranger = createServer((_request, response) => {
      asked++
      sendJson(response, [])
    })
    await new Promise<void>((done) => stranger.listen(0, '127.0.0.1', done))
    try {
      process.env.HF_TOKEN = hub.server.token
      const { port } = stranger.address() as AddressInfo
      answering(
        /\/tree\//,
        next(() => `http://127.0.0.1:${port}/tree`),
      )
      await refuses('DATA_CORRUPT', /a link to another host; received http:\/\/127\.0\.0\.1/)
      assert.equal(asked, 0)
    } finally {
      stranger.close()
    }
  })

  it('answers in time', async () => {
    process.env.HF_HUB_ETAG_TIMEOUT = '0.2'
    answering(/\/revision\//, () => true)
    await refuses('UNREACHABLE', /no answer in time/)
    delete process.env.HF_HUB_ETAG_TIMEOUT
    process.env.HF_HUB_DOWNLOAD_TIMEOUT = '0.2'
    answering(/\/revision\//, (_request, response) => {
      response.write('{')
      return true
    })
    await refuses('UNREACHABLE', /nothing came for 0\.2 s/)
    answering(/\/revision\//, (_request, response) => {
      end(response, 503)
      return true
    })
    await refuses('UNREACHABLE', /does not serve the request \(HTTP 503\)/)
  })

  it('does not steer the terminal', async () => {
    answering(/\/revision\//, (_request, response) => {
      response.writeHead(404, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ error: '\u001b[2Jgone' }))
      return true
    })
    await refuses('NOT_FOUND', /\\u001b\[2Jgone/)
  })
})
