import { CoppiceError, type ErrorCode } from '../errors.ts'
import { parseJsonBytes, visible } from '../rollouts/json-text.ts'
import { version } from '../version.ts'
import { KIND_WORDS, type RepoReference } from './repo-id.ts'
import type { HubSettings } from './settings.ts'

// The one door to the network. @huggingface/hub takes it as its `fetch`, because its own use of fetch sends the token to
// whatever address a `Link` header names, follows redirects as it is told, waits for ever, reads answers of any size, and
// refuses tokens that do not begin with hf_.

const MAX_REDIRECTS = 10
/** A page of the tree listing holds 1000 entries of about 300 bytes. */
const MAX_JSON_BYTES = 16 * 2 ** 20
const MAX_ERROR_BYTES = 64 * 2 ** 10

/** What a request is for, for its errors and its limits. */
export interface HubRequest {
  reference: RepoReference
  settings: HubSettings
  signal: AbortSignal | undefined
}

/** A GET that follows redirects; the token goes to the hub alone. UNREACHABLE, or what `refusalOf` makes of the status. */
export async function hubGet(
  url: string,
  headers: Readonly<Record<string, string>>,
  request: HubRequest,
): Promise<Response> {
  const { settings, reference, signal } = request
  const home = new URL(settings.endpoint)
  let target = new URL(url)
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const isHome = target.origin === home.origin
    const response = await answerOf(
      target,
      {
        'user-agent': `coppice/${version}`,
        ...headers,
        ...(isHome && settings.token && { authorization: `Bearer ${settings.token.value}` }),
      },
      request,
    )
    if (response.status < 300 || response.status > 399) {
      if (response.ok) return response
      throw await refusalOf(response, request)
    }
    await response.body?.cancel()
    target = redirectOf(response, target, reference)
    signal?.throwIfAborted()
  }
  throw corruptAnswer(reference, 'redirects without an end', { expected: `at most ${MAX_REDIRECTS}` })
}

/**
 * `fetch` for @huggingface/hub: GETs of JSON from the hub's own address. What comes back holds the whole answer, within
 * bounds and known to be JSON, so that no page of HTML and no bomb reaches the library.
 */
export function hubJsonFetch(request: HubRequest): typeof fetch {
  const { settings, reference } = request
  return async (input) => {
    const url = new URL(String(input))
    // A `next` link may name any address.
    if (url.origin !== new URL(settings.endpoint).origin) {
      throw corruptAnswer(reference, 'a link to another host', { received: visible(url.origin) })
    }
    const response = await hubGet(url.href, { accept: 'application/json' }, request)
    const bytes = await readBounded(response, MAX_JSON_BYTES, request)
    const parsed = parseJsonBytes(bytes)
    if ('fault' in parsed) {
      throw corruptAnswer(reference, `the hub's answer is ${parsed.fault.reason}`, {
        expected: `JSON from ${url.origin}${url.pathname}; is HF_ENDPOINT the address of a hub?`,
      })
    }
    const link = response.headers.get('link')
    return new Response(Buffer.from(bytes), link === null ? {} : { headers: { link } })
  }
}

export function corruptAnswer(
  reference: RepoReference,
  message: string,
  details: { expected?: string; received?: string; file?: string } = {},
): CoppiceError {
  const { file, ...others } = details
  const where = file === undefined ? reference.text : `${reference.text}, ${visible(file)}`
  return new CoppiceError('DATA_CORRUPT', message, { where, ...others })
}

export function isUnreachable(error: unknown): boolean {
  return error instanceof CoppiceError && error.code === 'UNREACHABLE'
}

async function answerOf(
  target: URL,
  headers: Readonly<Record<string, string>>,
  { reference, settings, signal }: HubRequest,
): Promise<Response> {
  // Only the answer's head has this long: a body may take hours.
  const timeout = new AbortController()
  const timer = setTimeout(() => timeout.abort(), settings.answerTimeoutMs)
  const signals = signal === undefined ? [timeout.signal] : [timeout.signal, signal]
  try {
    return await fetch(target, { headers, redirect: 'manual', signal: AbortSignal.any(signals) })
  } catch (cause) {
    signal?.throwIfAborted()
    const reason = timeout.signal.aborted ? 'no answer in time' : reasonOf(cause)
    throw new CoppiceError(
      'UNREACHABLE',
      `${pathHint(reference)}${target.host} cannot be reached: ${reason}`,
      {
        where: reference.text,
        expected: 'a connection to it, or HF_HUB_OFFLINE=1 and the files in the cache',
        cause,
      },
    )
  } finally {
    clearTimeout(timer)
  }
}

/** fetch says "fetch failed"; why stands in a cause, or in the first of several. */
function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown }
  if (cause instanceof AggregateError && cause.errors.length > 0) return String(cause.errors[0].message)
  return cause instanceof Error ? cause.message : String((error as Error).message)
}

function redirectOf(response: Response, from: URL, reference: RepoReference): URL {
  const location = response.headers.get('location') ?? ''
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined
  const isSafe = to?.protocol === 'https:' || (to?.protocol === 'http:' && from.protocol === 'http:')
  if (to !== undefined && isSafe) return to
  throw corruptAnswer(reference, 'a redirect that cannot be followed', {
    received: JSON.stringify(visible(location).slice(0, 200)),
  })
}

/** What a refused request means to the person who made it. */
async function refusalOf(response: Response, request: HubRequest): Promise<CoppiceError> {
  const { reference, settings } = request
  const kind = KIND_WORDS[reference.type]
  const { status } = response
  const code = response.headers.get('x-error-code') ?? ''
  const said = await errorTextOf(response, request)
  const refused = (errorCode: ErrorCode, message: string, expected: string) =>
    new CoppiceError(errorCode, `${message} (HTTP ${status}${said})`, { where: reference.text, expected })
  const page = `${settings.endpoint}/${reference.type === 'dataset' ? 'datasets/' : ''}${reference.id}`
  const token =
    settings.token === undefined
      ? 'a token of an account that may read it in HF_TOKEN'
      : `a token that may read it (one was found in ${settings.token.source})`
  if (status === 404 && code === 'RevisionNotFound') {
    return refused('NOT_FOUND', `no such revision of ${reference.id}`, 'a branch, a tag or a commit of it')
  }
  if (status === 404 && code === 'EntryNotFound') {
    return refused('NOT_FOUND', `no such file in ${reference.id}`, 'a file of this revision')
  }
  if (code === 'GatedRepo') {
    return refused('ACCESS_DENIED', `a gated ${kind}`, `access, asked for at ${page}, and ${token}`)
  }
  // The hub answers 401 for what does not exist too, so that names of private repositories stay private.
  if (status === 404 || (status === 401 && code === 'RepoNotFound')) {
    return refused(
      'NOT_FOUND',
      `${pathHint(reference)}no ${kind} of this name on ${new URL(settings.endpoint).host}, or a private one`,
      `an id org/name, or ${token}`,
    )
  }
  if (status === 416) return corruptAnswer(reference, 'a file that is shorter than it was listed')
  if (status === 401 || status === 403)
    return refused('ACCESS_DENIED', `access to the ${kind} is denied`, token)
  return refused(
    'UNREACHABLE',
    `${new URL(settings.endpoint).host} does not serve the request`,
    'another try later',
  )
}

/** A mistyped path looks like an id. */
export function pathHint({ text }: RepoReference): string {
  return text.startsWith('hf://') ? '' : 'no such path here, and '
}

/** What the hub has to say, in a line; pages of HTML are left out. */
async function errorTextOf(response: Response, request: HubRequest): Promise<string> {
  const header = response.headers.get('x-error-message')
  const isJson = response.headers.get('content-type')?.includes('json') === true
  let said = header ?? ''
  if (said === '' && isJson) {
    const bytes = await readBounded(response, MAX_ERROR_BYTES, request).catch(() => new Uint8Array())
    const parsed = parseJsonBytes(bytes)
    const error = 'value' in parsed ? (parsed.value as { error?: unknown } | null)?.error : undefined
    if (typeof error === 'string') said = error
  } else await response.body?.cancel()
  return said === '' ? '' : `: ${visible(said.slice(0, 300))}`
}

async function readBounded(response: Response, limit: number, request: HubRequest): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of bodyChunks(response, request)) {
    length += chunk.length
    if (length > limit) {
      throw corruptAnswer(request.reference, "the hub's answer is too long", {
        expected: `at most ${limit} bytes`,
      })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The body piece by piece. UNREACHABLE where it is cut off or stands still. */
export async function* bodyChunks(
  response: Response,
  { reference, settings, signal }: HubRequest,
): AsyncGenerator<Uint8Array, void, void> {
  const reader = response.body?.getReader()
  if (reader === undefined) return
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined
      const stalled = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new Error(`nothing came for ${settings.stallTimeoutMs / 1000} s`)),
          settings.stallTimeoutMs,
        )
      })
      const next = await Promise.race([reader.read(), stalled]).finally(() => clearTimeout(timer))
      signal?.throwIfAborted()
      if (next.done) return
      yield next.value
    }
  } catch (cause) {
    signal?.throwIfAborted()
    throw new CoppiceError('UNREACHABLE', `the connection broke off: ${reasonOf(cause)}`, {
      where: reference.text,
      expected: 'another try: what has come is kept',
      cause,
    })
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}
