import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CoppiceError,
  defaultConfig,
  loadTask,
  promptBatch,
  requireWritableFolder,
  splits,
  Tokenizer,
  taskNames,
  writeTable,
  writeTokenizer,
} from '../index.ts'
import { JSON_FLAG, SEED_FLAG } from './flags.ts'
import { defineVerb } from './verb.ts'

export const taskVerb = defineVerb({
  command: 'task <name>',
  describe: "an embedded task's prompts, demonstrations, tokenizer and a model config, as files",
  positional: {
    name: { type: 'string', describe: `${taskNames.join(', ')}, or a file whose default export is a task` },
  },
  flags: {
    out: { type: 'string', demandOption: true, describe: 'folder for the files' },
    options: { type: 'string', default: '{}', describe: 'options of the task, as JSON' },
    prompts: { type: 'number', default: 256, describe: 'prompts of each split' },
    demonstrations: { type: 'number', default: 0, describe: 'demonstrations for sft' },
    ...SEED_FLAG,
    ...JSON_FLAG,
  },
  examples: [['$0 task countdown --demonstrations 20000 --out data', 'files for init, sft, train and eval']],
  async run(args) {
    requireWritableFolder(args.out)
    const task = await loadTask(String(args.name), parseOptions(args.options))
    const tokenizer = Tokenizer.fromDefinition(task.tokenizer)
    await mkdir(args.out, { recursive: true })
    const files: string[] = []
    for (const split of splits) {
      const rows = task.prompts(split, args.prompts, args.seed)
      const prompts = rows.map((row) => ({ ...row, promptTokens: tokenizer.encode(row.prompt) }))
      files.push(join(args.out, `${split}.jsonl`))
      await writeTable(files.at(-1)!, [promptBatch(prompts)])
    }
    if (args.demonstrations > 0) {
      files.push(join(args.out, 'demonstrations.jsonl'))
      const lines = task
        .demonstrations(args.demonstrations, args.seed)
        .map((row) => `${JSON.stringify(row)}\n`)
      await writeFile(files.at(-1)!, lines.join(''))
    }
    await writeTokenizer(args.out, task.tokenizer)
    const config = defaultConfig({
      vocabSize: tokenizer.vocabSize,
      ...{ hiddenSize: 64, numLayers: 3, numHeads: 4, intermediateSize: 256 },
      maxPositions: task.maxPromptLength + task.maxCompletionLength,
      ...(tokenizer.eosTokenId !== undefined && { eosTokenId: tokenizer.eosTokenId }),
    })
    await writeFile(join(args.out, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
    files.push(
      ...['tokenizer.json', 'tokenizer_config.json', 'config.json'].map((name) => join(args.out, name)),
    )
    const { maxPromptLength, maxCompletionLength } = task
    const facts = { task: task.name, options: task.options, maxPromptLength, maxCompletionLength, files }
    console.log(args.json ? JSON.stringify(facts) : files.join('\n'))
  },
})

function parseOptions(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CoppiceError('INVALID_ARGUMENT', 'not JSON', { where: '--options', cause })
  }
}
