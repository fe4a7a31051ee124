import { CoppiceError } from '../index.ts'
import { JSON_FLAG, TEMPLATE_FLAGS, templateOf } from './flags.ts'
import { fetchModel, REVISION_FLAG } from './hub-files.ts'
import { inspectPath } from './inspect/inspect-path.ts'
import { inspectPrompt, promptRows } from './inspect/inspect-prompt.ts'
import { textTable } from './table.ts'
import { defineVerb } from './verb.ts'

export const inspectVerb = defineVerb({
  command: 'inspect <path>',
  describe: 'what is in a checkpoint folder, a run, or a safetensors, Arrow, JSONL or tokenizer file',
  positional: {
    path: { type: 'string', describe: 'folder or file, or the id of a model on the hub: org/name' },
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
    const parts = args.prompt === undefined ? 'model' : 'tokenizer'
    const path = await fetchModel({ model: String(args.path), revision: args.revision }, parts)
    if (args.prompt !== undefined) {
      const template = await templateOf({ ...args, model: path })
      const shown = await inspectPrompt(path, args.prompt, template)
      console.log(args.json ? JSON.stringify(shown) : textTable(promptRows(shown.tokens), 'left'))
      return
    }
    if (args.system !== undefined) throw withoutPrompt('system')
    if (args.enableThinking !== undefined) throw withoutPrompt('enable-thinking')
    if (args.templateDate !== undefined) throw withoutPrompt('template-date')
    if (args.template !== 'none') throw withoutPrompt('template')
    const found = await inspectPath(path, { rows: args.rows, tensors: args.tensors })
    console.log(args.json ? JSON.stringify(found) : describe(found))
  },
})

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
