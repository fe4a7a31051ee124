// Tasks draw from the same generator as everything else; it lives below them, since data sets are shuffled with it too.

export { hashText, Random } from '../statistics/random.ts'
