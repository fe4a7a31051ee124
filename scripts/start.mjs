// `npm start`: sets up what is missing, then runs the quick form of the experiment. Arguments go to `coppice experiment`.
import { spawn } from 'node:child_process'
import { root } from './console.mjs'
import { setUp } from './setup.mjs'

setUp()
const child = spawn(
  process.execPath,
  ['--import', 'tsx', 'src/cli/main.ts', 'experiment', ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: 'inherit',
  },
)
// The child saves its state on a signal and says how to go on; this process only waits for it.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)))
