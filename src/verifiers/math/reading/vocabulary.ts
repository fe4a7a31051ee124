// The words of LaTeX that the grader knows, and what they stand for.

export const FUNCTIONS: ReadonlySet<string> = new Set(
  (
    'sin cos tan sec csc cot arcsin arccos arctan arccot arcsec arccsc asin acos atan sinh cosh tanh coth sech csch ' +
    'arcsinh arccosh arctanh asinh acosh atanh ln log lg exp sqrt cbrt abs max min gcd lcm floor ceil'
  ).split(' '),
)

/** What commands stand for: symbols with one spelling each. */
export const COMMANDS: Readonly<Record<string, string>> = {
  times: '*',
  cdot: '*',
  ast: '*',
  div: '/',
  le: '<=',
  leq: '<=',
  leqslant: '<=',
  ge: '>=',
  geq: '>=',
  geqslant: '>=',
  lt: '<',
  gt: '>',
  ne: '!=',
  neq: '!=',
  approx: '≈',
  simeq: '≈',
  pm: '±',
  mp: '∓',
  cup: '∪',
  cap: '∩',
  in: '∈',
  setminus: '∖',
  backslash: '∖',
  lbrace: '\\{',
  rbrace: '\\}',
  langle: '⟨',
  rangle: '⟩',
  lvert: '|(',
  rvert: '|)',
  vert: '|',
  mid: '|',
  lfloor: '⌊',
  rfloor: '⌋',
  lceil: '⌈',
  rceil: '⌉',
  circ: '°',
  degree: '°',
  colon: ':',
  ldots: '…',
  dots: '…',
  cdots: '…',
  prime: "'",
  emptyset: '∅',
  varnothing: '∅',
  frac: 'frac',
  dfrac: 'frac',
  tfrac: 'frac',
  cfrac: 'frac',
  binom: 'binom',
  dbinom: 'binom',
  tbinom: 'binom',
  lor: 'or',
  vee: 'or',
  land: 'and',
  lbrack: '[',
  rbrack: ']',
  begin: 'begin',
  end: 'end',
  hline: '',
  euro: '€',
  pounds: '£',
  iff: 'iff',
  star: '*',
  sum: '∑',
  prod: '∏',
  angle: '∠',
  measuredangle: '∠',
  triangle: '△',
  overline: 'overline',
  bar: 'overline',
}
/** Commands for looks and space only. */
export const LOOKS: ReadonlySet<string> = new Set(
  (
    'left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle textstyle scriptstyle limits quad qquad ' +
    'thinspace nobreak phantom bf rm it unit si hspace medspace thickspace enspace boldsymbol mathbf vec'
  ).split(' '),
)
/** Commands whose argument is text. */
export const TEXTS: ReadonlySet<string> = new Set(
  'text textbf textit textrm textnormal texttt mbox hbox mathrm mathit operatorname emph mathsf'.split(' '),
)
export const GREEK: ReadonlySet<string> = new Set(
  (
    'alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi varphi chi ' +
    'psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell infty hbar aleph'
  ).split(' '),
)
/** Words that are names without a backslash, too. */
export const PLAIN_WORDS: Readonly<Record<string, string>> = {
  pi: 'pi',
  infinity: 'infinity',
  inf: 'infinity',
  theta: 'theta',
  alpha: 'alpha',
  beta: 'beta',
  lambda: 'lambda',
}

/** Functions with two names. */
export const SAME_FUNCTION: Readonly<Record<string, string>> = {
  asin: 'arcsin',
  acos: 'arccos',
  atan: 'arctan',
  asinh: 'arcsinh',
  acosh: 'arccosh',
  atanh: 'arctanh',
  lg: 'log',
}

/** Words of a sentence, which are no products of letters. */
export const STOP_WORDS: ReadonlySet<string> = new Set(
  'so is of to the are be it if an as at on we us for not but has was all any one two no yes then thus from with that this'.split(
    ' ',
  ),
)
