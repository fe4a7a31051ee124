import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cudaDeviceFinding } from '../../src/cli/doctor.ts'
import { CoppiceError } from '../../src/index.ts'

test('doctor says in the words of load why a CUDA device cannot be used, and gives one back that can', async () => {
  const message = 'cuda:0: the NVIDIA driver is too old: it knows CUDA 12.2, this build needs CUDA 13.0'
  const refused = await cudaDeviceFinding(() =>
    Promise.reject(new CoppiceError('DEVICE_UNAVAILABLE', message)),
  )
  assert.equal(refused.state, 'absent')
  assert.ok(refused.found.includes(message), refused.found)

  let disposed = 0
  const opened = await cudaDeviceFinding(async () => ({ dispose: () => void disposed++ }))
  assert.deepEqual([opened.state, disposed], ['ok', 1])
})
