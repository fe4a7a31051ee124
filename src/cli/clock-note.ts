/** What is to be said where the clock gave verdicts; empty where it gave none. */
export function clockNote(clockVerdicts: number): string {
  if (clockVerdicts === 0) return ''
  const verdicts = clockVerdicts === 1 ? '1 verdict was' : `${clockVerdicts} verdicts were`
  return `${verdicts} given by the deadline or the memory cap: this cannot be regenerated`
}
