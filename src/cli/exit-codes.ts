export const EXIT_DONE = 0
export const EXIT_FAILED = 1
/** Bad input or usage. */
export const EXIT_BAD_INPUT = 2
/** Interrupted, or asked to end, with the state saved where there is one. */
export const EXIT_SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const
