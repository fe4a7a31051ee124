import type { RunPlace } from './perform-run.ts'
import type { StudyRun } from './settings.ts'

// What a study and the processes that do its runs say to each other.

export interface ToStudyWorker {
  run: StudyRun
  place: RunPlace
}

export interface FromStudyWorker {
  /** Why the run failed, with the stack; absent when its record stands. */
  failure?: string
}
