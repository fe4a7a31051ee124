import { copyFile, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CoppiceError, Policy } from '../index.ts'
import { BACKEND_FLAGS, backendOptions, JSON_FLAG, SEED_FLAG } from './flags.ts'
import { parameterCount } from './parameter-count.ts'
import { formatCount } from './table.ts'
import { defineVerb } from './verb.ts'

const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer_config.json']

export const initVerb = defineVerb({
  command: 'init',
  describe: 'a new model with random parameters, in Hugging Face layout',
  flags: {
    config: {
      type: 'string',
      demandOption: true,
      describe: 'config.json of the Llama, Mistral, Qwen2 or Qwen3 family',
    },
    out: { type: 'string', demandOption: true, describe: 'folder of the new model' },
    tokenizer: {
      type: 'string',
      describe:
        'folder with tokenizer.json and tokenizer_config.json [default: that of the config, if they are there]',
    },
    ...SEED_FLAG,
    ...BACKEND_FLAGS,
    ...JSON_FLAG,
  },
  async run(args) {
    const config = await readConfig(args.config)
    const tokenizerFiles = await filesToCopy(args.tokenizer, dirname(args.config))
    await using policy = await Policy.init({ config, seed: args.seed, ...backendOptions(args) })
    await policy.save(args.out, {
      dtype: policy.dtype,
      alongside: async (folder) => {
        for (const path of tokenizerFiles) await copyFile(path, join(folder, basename(path)))
      },
    })
    const parameters = parameterCount(policy.config)
    if (args.json)
      console.log(JSON.stringify({ model: args.out, parameters, tokenizer: tokenizerFiles.length > 0 }))
    else console.log(`${args.out}: ${formatCount(parameters)} parameters`)
  },
})

async function readConfig(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, 'utf8')
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CoppiceError('INVALID_ARGUMENT', 'not JSON', { where: path, cause })
  }
}

/** The tokenizer's files in the folder that was named, all of them; or in the config's folder, if there is one. */
async function filesToCopy(named: string | undefined, beside: string): Promise<string[]> {
  const paths = TOKENIZER_FILES.map((name) => join(named ?? beside, name))
  const missing: string[] = []
  for (const path of paths) await readFile(path).catch(() => missing.push(path))
  if (missing.length === 0) return paths
  if (named === undefined && missing.length === paths.length) return []
  throw new CoppiceError('INVALID_ARGUMENT', 'a tokenizer file is missing', { where: missing[0]! })
}
