import type { Options } from 'yargs'
import { type PresetValues, presetNames, presetOf } from '../index.ts'

/** Stands for other flags, which win where they are given. */
export const PRESET_FLAG = {
  preset: {
    type: 'string',
    describe: `settings by name: ${presetNames.join(', ')}; any other flag wins`,
  },
} as const satisfies Record<string, Options>

type Given = (flag: string) => string | undefined

export function trainPreset(given: Given): Record<string, unknown> {
  const name = given('preset')
  if (name === undefined) return {}
  const { train, byObjective } = presetOf(name)
  return flagsOf({ ...train, ...byObjective[given('objective') ?? ''] })
}

export function evalPreset(given: Given): Record<string, unknown> {
  const name = given('preset')
  return name === undefined ? {} : flagsOf(presetOf(name).eval)
}

function flagsOf(values: PresetValues): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
      value,
    ]),
  )
}
