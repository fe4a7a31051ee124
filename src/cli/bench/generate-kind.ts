import type { BenchCase, BenchKind } from './bench-case.ts'
import { generationSteps } from './floors.ts'
import { BENCH_MODELS, type BenchModel, contextOf, openModel, tinyModel } from './model-shapes.ts'
import { peakRssMib } from './peak-rss.ts'
import { PeakMeter } from './peaks.ts'
import { type Sampled, timeGenerations } from './policy-work.ts'

/** All completions of all prompts at once; its floor is that of its token steps, one after the other. */
export function generateCase(name: string, model: BenchModel, asked: Sampled): BenchCase {
  return {
    name,
    async *run({ backend, timing, isQuick }) {
      const used = isQuick ? tinyModel(model) : model
      const sampled = isQuick
        ? { ...asked, prompts: Math.min(2, asked.prompts), promptLength: 4, completionLength: 8 }
        : asked
      const { prompts, samples, promptLength, completionLength } = sampled
      await using policy = await openModel(used, backend, 4 * (promptLength + completionLength))
      const meter = new PeakMeter({ ...contextOf(policy), case: name })
      const seconds = await timeGenerations(policy, sampled, meter.during(timing))
      const sizes = [prompts, samples, promptLength, completionLength] as const
      const steps = generationSteps(used, policy.dtype, ...sizes)
      const each = samples === 1 ? '' : `${samples} completions of `
      const measured = {
        ...{
          op: 'generate',
          shape: `${used.name}, ${prompts} prompts of ${promptLength} x ${each}${completionLength} tokens`,
        },
        ...{ seconds, flops: steps.reduce((sum, { flops }) => sum + flops, 0) },
        ...{ tokens: prompts * samples * completionLength, peakRssMib: peakRssMib() },
      }
      yield meter.row(measured, steps)
    },
  }
}

const { S, halfBillion } = BENCH_MODELS
const short = { promptLength: 16, completionLength: 64 }
const ofLarge = { samples: 1, promptLength: 16, completionLength: 32 }

export const GENERATE_KIND: BenchKind = {
  describe: 'sampling: 256 sequences of S, with and without shared prompts; 1 and 32 of Qwen2.5-0.5B',
  cases: () => [
    generateCase('generate/S-256', S, { prompts: 256, samples: 1, ...short }),
    generateCase('generate/S-32x8', S, { prompts: 32, samples: 8, ...short }),
    generateCase('generate/Qwen2.5-0.5B-1', halfBillion, { prompts: 1, ...ofLarge }),
    generateCase('generate/Qwen2.5-0.5B-32', halfBillion, { prompts: 32, ...ofLarge }),
  ],
}
