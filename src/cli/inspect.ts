import { JSON_FLAG } from './flags.ts'
import { inspectPath } from './inspect/inspect-path.ts'
import { defineVerb } from './verb.ts'

export const inspectVerb = defineVerb({
  command: 'inspect <path>',
  describe: 'what is in a checkpoint folder, a run, or a safetensors, Arrow, JSONL or tokenizer file',
  positional: { path: { type: 'string', describe: 'folder or file' } },
  flags: {
    rows: { type: 'number', default: 0, describe: 'show so many rows of a table' },
    tensors: { type: 'boolean', default: false, describe: 'list every tensor' },
    ...JSON_FLAG,
  },
  async run(args) {
    const found = await inspectPath(String(args.path), { rows: args.rows, tensors: args.tensors })
    console.log(args.json ? JSON.stringify(found) : describe(found))
  },
})

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
