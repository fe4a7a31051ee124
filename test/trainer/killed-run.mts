import { runToEnd } from './tiny-run.ts'

// A training run in a process of its own, for a test that kills it: MODEL OUT.
const [model, out] = process.argv.slice(2) as [string, string]
await runToEnd(model, out, { saveEvery: 1, keepCheckpoints: 2, resume: true })
