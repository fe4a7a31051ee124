import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { CoppiceError } from '../errors.ts'

// What the environment says of the hub, under the names and with the defaults of Python's huggingface_hub: a machine that is
// set up for one is set up for both. @huggingface/hub reads fewer of them, and none of `~`.

export interface HubSettings {
  /** Where models and data sets are asked for, without a slash at the end. HF_ENDPOINT. */
  endpoint: string
  /** HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, or `hub` in HF_HOME (~/.cache/huggingface). */
  cacheFolder: string
  /** Whether the network must not be used. HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE. */
  offline: boolean
  token: HubToken | undefined
  /** How long an answer may take. HF_HUB_ETAG_TIMEOUT, in seconds. */
  answerTimeoutMs: number
  /** How long a download may stand still. HF_HUB_DOWNLOAD_TIMEOUT, in seconds. */
  stallTimeoutMs: number
}

export interface HubToken {
  value: string
  /** Where it was found; the token itself is never shown. */
  source: string
}

const TRUE = ['1', 'ON', 'YES', 'TRUE']
const DEFAULT_TIMEOUT_S = 10

/** Reads the settings anew, so that a program may change its environment. INVALID_ARGUMENT names the variable. */
export function hubSettings(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): HubSettings {
  // An empty variable is as good as none.
  const get = (name: string) => environment[name]?.trim() || undefined
  const isTrue = (name: string) => TRUE.includes((get(name) ?? '').toUpperCase())
  const home = folderOf(get('HF_HOME') ?? join(get('XDG_CACHE_HOME') ?? '~/.cache', 'huggingface'))
  const cache = get('HF_HUB_CACHE') ?? get('HUGGINGFACE_HUB_CACHE')
  return {
    endpoint: endpointOf(get('HF_ENDPOINT') ?? 'https://huggingface.co'),
    cacheFolder: cache === undefined ? join(home, 'hub') : folderOf(cache),
    offline: isTrue('HF_HUB_OFFLINE') || isTrue('TRANSFORMERS_OFFLINE'),
    token: isTrue('HF_HUB_DISABLE_IMPLICIT_TOKEN')
      ? undefined
      : tokenOf(get, folderOf(get('HF_TOKEN_PATH') ?? join(home, 'token'))),
    answerTimeoutMs: timeoutOf('HF_HUB_ETAG_TIMEOUT', get),
    stallTimeoutMs: timeoutOf('HF_HUB_DOWNLOAD_TIMEOUT', get),
  }
}

function folderOf(path: string): string {
  return resolve(path.replace(/^~(?=\/|$)/, homedir()))
}

function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '') {
    return url.href.replace(/\/+$/, '')
  }
  throw new CoppiceError('INVALID_ARGUMENT', 'not the address of a hub', {
    where: 'HF_ENDPOINT',
    expected: 'an address like https://huggingface.co',
    received: JSON.stringify(text),
  })
}

function tokenOf(get: (name: string) => string | undefined, path: string): HubToken | undefined {
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']) {
    const value = get(name)
    if (value !== undefined) return { value: checkedToken(value, name), source: name }
  }
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
  return text === '' ? undefined : { value: checkedToken(text, path), source: path }
}

/** A header with anything else would be refused by fetch, in a message that shows the token. */
function checkedToken(value: string, where: string): string {
  if (/^[\x21-\x7e]+$/.test(value)) return value
  throw new CoppiceError('INVALID_ARGUMENT', 'not a token', {
    where,
    expected: 'one word of printable ASCII characters',
  })
}

function timeoutOf(name: string, get: (name: string) => string | undefined): number {
  const text = get(name)
  const seconds = text === undefined ? DEFAULT_TIMEOUT_S : Number(text)
  if (seconds > 0 && seconds <= 86_400) return Math.round(1000 * seconds)
  throw new CoppiceError('INVALID_ARGUMENT', 'not a time', {
    where: name,
    expected: 'seconds, more than 0',
    received: JSON.stringify(text),
  })
}
