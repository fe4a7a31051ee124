import type { Sample } from '../../index.ts'

// Answers as models give them: right ones, wrong ones and some without an answer, for every kind of verifier.

type Answer = readonly [reference: string, completion: string]

const REASONING =
  'We add what is given and look at what is left, step by step, until nothing is open. '.repeat(6)

const SCHEMA = JSON.stringify({
  type: 'object',
  required: ['name', 'age'],
  properties: { name: { type: 'string', maxLength: 80 }, age: { type: 'integer', minimum: 0 } },
})

/** What competition problems have for answers, and what models make of them. */
const MATH: readonly Answer[] = [
  ['\\frac{3}{4}', '\\boxed{0.75}'],
  ['\\frac{3}{4}', '\\boxed{\\dfrac{4}{3}}'],
  ['2\\sqrt{3}', '\\boxed{\\sqrt{12}}'],
  ['2\\sqrt{3}', '\\boxed{3\\sqrt{2}}'],
  ['(-\\infty, 2) \\cup (5, \\infty)', '\\boxed{x < 2 \\text{ or } x > 5}'],
  ['(-\\infty, 2) \\cup (5, \\infty)', '\\boxed{(-\\infty,2)\\cup(5,\\infty)}'],
  ['x^2 - 5x + 6', '\\boxed{(x-2)(x-3)}'],
  ['x^2 - 5x + 6', '\\boxed{(x-2)(x+3)}'],
  ['\\left(3, \\frac{\\pi}{2}\\right)', 'The point is $\\left(3, \\frac{\\pi}{2}\\right)$.'],
  [
    '\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}',
    '\\boxed{\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}}',
  ],
  ['12\\text{ cm}^2', '\\boxed{12}'],
  ['1{,}250', 'So the total is $1250$.'],
  ['2, 3, 5', '\\boxed{5, 3, 2}'],
  ['\\frac{1}{2^{98}}', '\\boxed{2^{-98}}'],
  ['36', 'I could not find it.'],
  ['\\sin^2 x', '\\boxed{1 - \\cos^2 x}'],
]

/** The i-th answer that a verifier is given. */
export const ANSWERS: Readonly<Record<string, (i: number) => Answer>> = {
  math(i) {
    const [reference, answer] = MATH[i % MATH.length]!
    return [reference, `${REASONING}${answer}`]
  },
  numeric: (i) => [String(i % 97), `${REASONING}\n#### ${i % 89}`],
  choice: (i) => ['ABCD'[i % 4]!, `${REASONING}The answer is (${'ABC?'[i % 4]}).`],
  exact: (i) => [String(i % 7), String(i % 5)],
  countdown: (i) => ['3 5 7 2 > 24', `${REASONING}<answer>3 * 5 + 7 + ${i % 4}</answer>`],
  walk: (i) => ['[12] [0] [01]', ['1 0 2', '0 1 2', '2 0 1', 'x'][i % 4]!],
  arithmetic: (i) => ['(3+4)*2-5', `7*2-5=14-5=${7 + (i % 4)}`],
  format: (i) => ['', `<think>${REASONING}</think><answer>${i}${i % 3 === 0 ? '' : '</answer>'}`],
  'format:template=boxed': (i) => ['', `${REASONING}\\boxed{${i % 3 === 0 ? '' : i}}`],
  'format:pattern=^\\w[^<]*$': (i) => ['', `${REASONING}${i % 3 === 0 ? '<' : ''}`],
  regex: (i) => ['^[A-Z].*\\d$', `${REASONING}${i % 3 === 0 ? 'x' : i}`],
  'json-schema': (i) => [
    SCHEMA,
    `${REASONING}\n\`\`\`json\n{"name": "n${i}", "age": ${i % 3 === 0 ? '"x"' : i}}\n\`\`\``,
  ],
  'file.mjs': (i) => [String(i % 7), String(i % 5)],
}

/** What `file.mjs` holds: a verifier of somebody's own. */
export const OWN_VERIFIER = 'export default ({ reference, completion }) => completion === reference ? 1 : 0'

/** So many answers, of which `group` neighbours are the same; another `round` asks other questions. */
export function answersFor(verifier: string, count: number, group: number, round = 0): Sample[] {
  return Array.from({ length: count }, (_, i) => {
    const question = Math.floor(i / group)
    const [reference, completion] = ANSWERS[verifier]!(question)
    return {
      ...{ promptId: String(i), prompt: `${round}: ${question}`, reference, completion },
      ...{ promptTokens: new Int32Array(0), completionTokens: new Int32Array(120), finishReason: 'stop' },
    }
  })
}
