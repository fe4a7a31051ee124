/** Floats as text, one for each bit pattern: what `assert.equal` holds to every bit, signs of zeros and NaNs too. */
export const bits = (values: Float32Array): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('hex')
