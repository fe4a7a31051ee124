import type { Judgement, Sample } from '../verdicts.ts'

// Walk: visit every node of a directed graph exactly once, along its arcs. Reference: `[12] [0] [01]`, for each node in
// turn the nodes that its arcs lead to. Nodes are the digits 0-9 and then letters; an answer lists them in order.

const NODE_NAMES = '0123456789abcdefghijklmnopqrstuvwxyz'

/** Judges a list of nodes separated by white space. */
export function verifyWalk(sample: Pick<Sample, 'reference' | 'completion'>): Judgement {
  const successors = graphOf(sample.reference)
  if (successors === undefined) {
    return { verdict: 'unparsed', reward: null, reason: 'the reference is not of the form [12] [0] [01]' }
  }
  const nodes = sample.completion.trim().split(/\s+/)
  const path: number[] = []
  for (const node of nodes) {
    const index = node.length === 1 ? NODE_NAMES.indexOf(node) : -1
    if (index === -1 || index >= successors.length) {
      return { verdict: 'unparsed', reward: 0, reason: 'not a list of nodes' }
    }
    path.push(index)
  }
  if (nodes.length !== successors.length)
    return wrong(`${nodes.length} nodes instead of ${successors.length}`)
  if (new Set(path).size !== nodes.length) return wrong('visits a node twice')
  for (let i = 1; i < nodes.length; i++) {
    if (!successors[path[i - 1]!]!.includes(nodes[i]!))
      return wrong(`there is no arc from ${nodes[i - 1]} to ${nodes[i]}`)
  }
  return { verdict: 'right', reward: 1 }
}

function wrong(reason: string): Judgement {
  return { verdict: 'wrong', reward: 0, reason }
}

let last: { reference: string; graph: string[] | undefined } | undefined

/** A group's answers come one after the other and share their graph. */
function graphOf(reference: string): string[] | undefined {
  if (last?.reference !== reference) last = { reference, graph: parseGraph(reference) }
  return last.graph
}

/** Each node's successors as a text of node names, or undefined where the reference is no graph. */
function parseGraph(reference: string): string[] | undefined {
  const lists = reference.trim().split(/\s+/)
  if (lists.length > NODE_NAMES.length) return undefined
  const known = NODE_NAMES.slice(0, lists.length)
  const isList = (list: string) =>
    list.startsWith('[') && list.endsWith(']') && [...list.slice(1, -1)].every((node) => known.includes(node))
  return lists.every(isList) ? lists.map((list) => list.slice(1, -1)) : undefined
}
