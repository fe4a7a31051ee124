import { COMPANION_FILES } from '../checkpoint/companion-files.ts'
import { INDEX_FILE, readIndex, SINGLE_FILE } from '../checkpoint/model-tensors.ts'
import { CoppiceError } from '../errors.ts'
import type { Snapshot } from './snapshot.ts'

/** What of a model is wanted: all that `Policy.load` reads, or the tokenizer and the templates alone. */
export type ModelParts = 'model' | 'tokenizer'

const TEMPLATE_FOLDER = /^additional_chat_templates\/[^/]+\.jinja$/
/** What is not parameters is small: the largest tokenizers take some tens of MB. */
const MAX_SMALL_BYTES = 2 ** 30

/**
 * Fetches the files of a model that coppice reads, by their names. Never a pickled checkpoint and never code: whatever else is in the
 * repository stays there.
 */
export async function fetchModelFiles(snapshot: Snapshot, parts: ModelParts): Promise<void> {
  const { files, reference } = snapshot
  const small = ['config.json', ...COMPANION_FILES].filter((name) => files.has(name))
  small.push(...[...files.keys()].filter((name) => TEMPLATE_FOLDER.test(name)))
  for (const name of [...small, ...(files.has(INDEX_FILE) ? [INDEX_FILE] : [])]) {
    if (files.get(name)!.bytes <= MAX_SMALL_BYTES) continue
    throw new CoppiceError('DATA_CORRUPT', 'too large for what it should be', {
      where: `${reference.text}, ${name}`,
      expected: `at most ${MAX_SMALL_BYTES} bytes`,
      received: String(files.get(name)!.bytes),
    })
  }
  if (parts === 'tokenizer') {
    await snapshot.fetch(small)
    return
  }
  if (!files.has('config.json')) throw lacks(snapshot, 'config.json')
  await snapshot.fetch([...small, ...(await parameterFiles(snapshot))])
}

async function parameterFiles(snapshot: Snapshot): Promise<string[]> {
  const { files, reference } = snapshot
  if (files.has(SINGLE_FILE)) return [SINGLE_FILE]
  if (!files.has(INDEX_FILE)) throw lacks(snapshot, `${SINGLE_FILE} or ${INDEX_FILE}`)
  const [index] = await snapshot.fetch([INDEX_FILE])
  const shards = [...new Set(readIndex(index!).values())]
  const missing = shards.find((shard) => !files.has(shard))
  if (missing === undefined) return shards
  throw new CoppiceError('NOT_FOUND', `${missing}, which ${INDEX_FILE} names, is not there`, {
    where: `${reference.text}, commit ${snapshot.commit}`,
    expected: `${shards.length} shards`,
  })
}

function lacks({ files, reference, folder }: Snapshot, expected: string): CoppiceError {
  const names = [...files.keys()].filter((name) => !name.includes('/') && !name.startsWith('.'))
  return new CoppiceError('NOT_FOUND', 'not a model that coppice can read', {
    where: reference.text,
    expected: `${expected} in it (pickled parameters are never read)`,
    received: `${names.slice(0, 12).join(', ') || 'no files'}${names.length > 12 ? ' ...' : ''}; cache: ${folder}`,
  })
}
