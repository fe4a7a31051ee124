import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { samplingDefaultsOf } from '../../src/checkpoint/sampling-defaults.ts'
import { CoppiceError } from '../../src/errors.ts'

describe('generation_config.json on sampling', () => {
  it('is read field by field', () => {
    const qwen = {
      ...{ bos_token_id: 151643, do_sample: true, eos_token_id: [151645, 151643], pad_token_id: 151643 },
      ...{ repetition_penalty: 1.0, temperature: 0.7, top_p: 0.8, top_k: 20, transformers_version: '4.37.0' },
    }
    assert.deepEqual(samplingDefaultsOf(qwen, 'g'), {
      ...{ temperature: 0.7, topP: 0.8, topK: 20 },
      unsupported: [],
    })
    assert.deepEqual(samplingDefaultsOf({}, 'g'), { unsupported: [] })
    assert.deepEqual(samplingDefaultsOf({ temperature: null, top_k: 0, min_p: 0.1 }, 'g'), {
      ...{ topK: 0, minP: 0.1 },
      unsupported: [],
    })
  })

  it('means greedy where it does not sample', () => {
    assert.equal(samplingDefaultsOf({ do_sample: false, temperature: 0.6 }, 'g').temperature, 0)
  })

  it('names what has no counterpart, but not what does nothing', () => {
    const config = { repetition_penalty: 1.05, num_beams: 1, typical_p: 0.9, suppress_tokens: null }
    assert.deepEqual(samplingDefaultsOf(config, 'g').unsupported, [
      'repetition_penalty 1.05',
      'typical_p 0.9',
    ])
  })

  for (const bad of [{ temperature: -1 }, { top_p: 1.5 }, { top_k: 2.5 }, { min_p: 'x' }, { top_p: true }]) {
    it(`refuses ${JSON.stringify(bad)} by name`, () => {
      assert.throws(
        () => samplingDefaultsOf(bad, 'folder/generation_config.json'),
        (error) =>
          error instanceof CoppiceError &&
          error.code === 'INVALID_ARGUMENT' &&
          error.message.includes(Object.keys(bad)[0]!) &&
          error.message.includes('generation_config.json'),
      )
    })
  }
})
