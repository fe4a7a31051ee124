import { CoppiceError, type DataSetFacts } from '../index.ts'
import { JSON_FLAG, TEMPLATE_FLAGS, templateOf } from './flags.ts'
import { fetchDataSetFacts, fetchModel, REVISION_FLAG } from './hub-files.ts'
import { inspectPath } from './inspect/inspect-path.ts'
import { inspectPrompt, promptRows } from './inspect/inspect-prompt.ts'
import { formatBytes, textTable } from './table.ts'
import { defineVerb } from './verb.ts'

export const inspectVerb = defineVerb({
  command: 'inspect <path>',
  describe:
    'what is in a checkpoint folder, a run, a data set on the hub, or a safetensors, Arrow, JSONL or tokenizer file',
  positional: {
    path: {
      type: 'string',
      describe: 'folder or file, or an id of the hub: org/name of a model, hf://datasets/org/name',
    },
  },
  flags: {
    rows: { type: 'number', default: 0, describe: 'show so many rows of a table' },
    tensors: { type: 'boolean', default: false, describe: 'list every tensor' },
    prompt: {
      type: 'string',
      describe: 'show this prompt token by token, as the model in the folder would read it under --template',
    },
    ...REVISION_FLAG,
    ...TEMPLATE_FLAGS,
    ...JSON_FLAG,
  },
  async run(args) {
    const named = String(args.path)
    if (named.startsWith('hf://datasets/')) {
      const facts = { kind: 'data set', ...(await fetchDataSetFacts(named, args.revision)) }
      console.log(args.json ? JSON.stringify(facts) : describe({ ...facts, subsets: sizesOf(facts) }))
      return
    }
    if (args.prompt !== undefined) {
      const path = await fetchModel({ model: named, revision: args.revision }, 'tokenizer')
      const template = await templateOf({ ...args, model: path })
      const shown = await inspectPrompt(path, args.prompt, template)
      console.log(args.json ? JSON.stringify(shown) : textTable(promptRows(shown.tokens), 'left'))
      return
    }
    if (args.system !== undefined) throw withoutPrompt('system')
    if (args.enableThinking !== undefined) throw withoutPrompt('enable-thinking')
    if (args.templateDate !== undefined) throw withoutPrompt('template-date')
    if (args.template !== 'none') throw withoutPrompt('template')
    const path = await fetchModel({ model: named, revision: args.revision })
    const found = await inspectPath(path, { rows: args.rows, tensors: args.tensors })
    console.log(args.json ? JSON.stringify(found) : describe(found))
  },
})

/** Subset, split and size as nested facts. */
function sizesOf({ subsets }: DataSetFacts): object {
  const size = ({ files, bytes }: { files: number; bytes: number }) =>
    `${files} ${files === 1 ? 'file' : 'files'}, ${formatBytes(bytes)}`
  return Object.fromEntries(
    subsets.map(({ name, splits }) => [
      name,
      Object.fromEntries(splits.map((split) => [split.name, size(split)])),
    ]),
  )
}

function withoutPrompt(flag: string): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', 'without --prompt there is nothing to render', {
    where: `--${flag}`,
    expected: '--prompt TEXT',
  })
}

/** Nested facts as indented lines. */
function describe(facts: object, indent = ''): string {
  return Object.entries(facts)
    .map(([name, value]) => {
      if (typeof value !== 'object' || value === null) return `${indent}${name}: ${value}`
      if (Array.isArray(value) && value.every((entry) => typeof entry !== 'object')) {
        return `${indent}${name}: ${value.join(', ')}`
      }
      return `${indent}${name}:\n${describe(value, `${indent}  `)}`
    })
    .join('\n')
}
