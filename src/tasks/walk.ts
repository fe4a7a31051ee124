import { invalidArgument } from '../errors.ts'
import { refuseUnknownKeys, requireInteger, requireNumber } from '../options.ts'
import { wordTokenizer } from '../tokenizer-definition.ts'
import { verifyWalk } from '../verifiers/walk.ts'
import type { Random } from './random.ts'
import { defineTask, type Split, type Task, type TaskRow } from './task.ts'

/** Walk's options. A density is the probability that an arc is there beside those of the planted walk. */
export interface WalkOptions {
  /** Nodes of the graph, 3 to 12; the vocabulary has 2^nodes tokens for sets of nodes. Default 8. */
  nodes: number
  /** Default 0.8: with eight nodes a graph has about 9,000 walks, so that nearly every training prompt gets solved. */
  trainDensity: number
  /** Default 0.2, as `heldoutDensity`. */
  tuneDensity: number
  /** Default 0.2: about 8 walks; 0.35 gives about 70. */
  heldoutDensity: number
  /** Demonstrations have densities drawn uniformly between these two. Defaults 0.1 and 0.8. */
  minDemonstrationDensity: number
  maxDemonstrationDensity: number
  /** The share of demonstrations that go on in random order from a random position. Default 0.4. */
  careless: number
  /** Whether an end token follows the nodes. Without it generation stops at the maximum length. Default true. */
  endToken: boolean
}

const defaults: WalkOptions = {
  nodes: 8,
  trainDensity: 0.8,
  tuneDensity: 0.2,
  heldoutDensity: 0.2,
  minDemonstrationDensity: 0.1,
  maxDemonstrationDensity: 0.8,
  careless: 0.4,
  endToken: true,
}

const NODE_NAMES = '0123456789ab'

/**
 * Visit every node of a directed graph once along its arcs. Prompt `[12] [0] [01] :`, for each node in turn the nodes
 * that its arcs lead to; completion `1 0 2`. Token ids: the nodes, `:`, the sets of nodes by their bit mask, and the
 * end token.
 *
 * A graph has every arc with the split's density, and the arcs of a random walk planted in it. All walks of a graph are
 * equally likely to be the planted one, since each would have cost the same draws: demonstrations are a uniform sample.
 */
export function walk(given: Partial<WalkOptions> = {}): Task {
  const options = completeOptions(given)
  const { nodes } = options
  const names = [...NODE_NAMES.slice(0, nodes)]
  const sets = Array.from(
    { length: 2 ** nodes },
    (_, mask) => `[${names.filter((_, node) => (mask >> node) & 1).join('')}]`,
  )
  const densities: Record<Split, number> = {
    train: options.trainDensity,
    tune: options.tuneDensity,
    heldout: options.heldoutDensity,
  }

  function draw(random: Random, use: Split | 'demonstration'): TaskRow {
    const { minDemonstrationDensity: low, maxDemonstrationDensity: high } = options
    const density = use === 'demonstration' ? low + (high - low) * random.uniform() : densities[use]
    const path = random.shuffle(Array.from({ length: nodes }, (_, node) => node))
    const successors: number[] = []
    for (let from = 0; from < nodes; from++)
      successors.push(randomBits(random, nodes, density) & ~(1 << from))
    for (let i = 1; i < nodes; i++) successors[path[i - 1]!]! |= 1 << path[i]!
    if (use === 'demonstration' && random.chance(options.careless)) random.shuffle(path, random.below(nodes))
    const reference = successors.map((mask) => sets[mask]).join(' ')
    return { prompt: `${reference} :`, reference, completion: path.map((node) => names[node]).join(' ') }
  }

  const words = [...names, ':', ...sets]
  return defineTask({
    name: 'walk',
    description: `visit the ${nodes} nodes of a directed graph once each, along its arcs`,
    options: { ...options },
    tokenizer: options.endToken ? wordTokenizer(words) : { level: 'word', tokens: words },
    maxPromptLength: nodes + 1,
    maxCompletionLength: nodes + (options.endToken ? 1 : 0),
    verifier: verifyWalk,
    draw,
  })
}

/** The lowest `count` bits, each set with the given probability, to a multiple of 2^-16. */
function randomBits(random: Random, count: number, probability: number): number {
  const threshold = Math.round(probability * 0x10000)
  let bits = 0
  for (let bit = 0; bit < count; bit += 2) {
    const word = random.uint32()
    if ((word & 0xffff) < threshold) bits |= 1 << bit
    if (word >>> 16 < threshold) bits |= 2 << bit
  }
  return bits & ((1 << count) - 1)
}

/** The number of walks that visit every node once, for a graph given by each node's successors as a bit mask. */
export function countWalks(successors: readonly number[]): number {
  const nodes = successors.length
  // counts[visited * nodes + last]: walks that have visited exactly that set of nodes and stand on `last`.
  const counts = new Float64Array(2 ** nodes * nodes)
  for (let node = 0; node < nodes; node++) counts[(1 << node) * nodes + node] = 1
  for (let visited = 1; visited < 2 ** nodes; visited++) {
    for (let last = 0; last < nodes; last++) {
      const count = counts[visited * nodes + last]!
      if (count === 0) continue
      const open = successors[last]! & ~visited
      for (let next = 0; next < nodes; next++) {
        if ((open >> next) & 1) counts[(visited | (1 << next)) * nodes + next]! += count
      }
    }
  }
  return counts.subarray(-nodes).reduce((sum, count) => sum + count, 0)
}

function completeOptions(given: Partial<WalkOptions>): WalkOptions {
  const names = Object.keys(defaults) as (keyof WalkOptions)[]
  refuseUnknownKeys(given, names, 'walk')
  const options = { ...defaults, ...given }
  requireInteger(options.nodes, 'walk nodes', 3, NODE_NAMES.length)
  for (const name of names) {
    if (name !== 'nodes' && name !== 'endToken') requireNumber(options[name], `walk ${name}`, 0, 1)
  }
  if (options.minDemonstrationDensity > options.maxDemonstrationDensity) {
    const limit = `at most maxDemonstrationDensity, ${options.maxDemonstrationDensity}`
    throw invalidArgument('walk minDemonstrationDensity', limit, options.minDemonstrationDensity)
  }
  if (typeof options.endToken !== 'boolean')
    throw invalidArgument('walk endToken', 'true or false', options.endToken)
  return options
}
