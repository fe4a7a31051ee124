import { CoppiceError, describeValue } from '../errors.ts'
import { importDefault, isModuleFile, requireModuleFile } from '../load-module.ts'
import { nearest } from '../options.ts'
import { type ArithmeticOptions, arithmetic } from './arithmetic.ts'
import { type CountdownOptions, countdown } from './countdown.ts'
import { requireTask, type Task } from './task.ts'
import { type WalkOptions, walk } from './walk.ts'

/** The options of every built-in task. */
export interface TaskOptions {
  countdown: CountdownOptions
  walk: WalkOptions
  arithmetic: ArithmeticOptions
}

export type TaskName = keyof TaskOptions

const makers: { [Name in TaskName]: (options?: Partial<TaskOptions[Name]>) => Task } = {
  countdown,
  walk,
  arithmetic,
}

/** The tasks that coppice brings along. */
export const taskNames = Object.keys(makers) as readonly TaskName[]

/** A built-in task; INVALID_ARGUMENT for unknown names and options. */
export function getTask<Name extends TaskName>(name: Name, options?: Partial<TaskOptions[Name]>): Task {
  if (Object.hasOwn(makers, name)) return makers[name](options)
  const near = nearest(String(name), taskNames)
  throw new CoppiceError('INVALID_ARGUMENT', `no task is called ${describeValue(name)}`, {
    where: 'task',
    expected: near === undefined ? `one of ${taskNames.join(', ')}` : `did you mean '${near}'?`,
  })
}

/**
 * A built-in task by name, or one of your own by the path of a .ts, .js or .mjs file whose default export `defineTask`
 * made. The file is loaded into this process; options are for built-in tasks.
 */
export async function loadTask(nameOrFile: string, options?: Record<string, unknown>): Promise<Task> {
  if (!isModuleFile(nameOrFile))
    return getTask(nameOrFile as TaskName, options as Partial<TaskOptions[TaskName]>)
  const file = await requireModuleFile(nameOrFile)
  if (options !== undefined && Object.keys(options).length > 0) {
    throw new CoppiceError('INVALID_ARGUMENT', 'a task of your own sets its options itself', { where: file })
  }
  let exported: unknown
  try {
    exported = await importDefault(file)
  } catch (cause) {
    throw new CoppiceError('INVALID_ARGUMENT', `the task cannot be loaded: ${cause}`, { where: file, cause })
  }
  return requireTask(exported, file)
}
