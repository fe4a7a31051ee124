import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { compareIds, compareTemplates, TEMPLATES } from './template-comparison.ts'

describe('tokenizers and templates against what the Python libraries gave (make_template_fixtures.py)', () => {
  for (const shape of ['qwen2', 'llama3']) {
    it(`encodes as the Rust tokenizers do: ${shape}`, async () => {
      const { compared, differences, younger } = await compareIds(join(TEMPLATES, shape))
      assert.deepEqual([differences, younger], [[], 0])
      assert.ok(compared >= 300)
    })
  }

  it('renders conversations as transformers does, and gives the same ids', async () => {
    const { compared, refused, differences } = await compareTemplates(TEMPLATES)
    assert.deepEqual(differences, [])
    assert.ok(compared >= 35 && refused > 0 && refused < compared / 2)
  })
})
