import type { Options } from 'yargs'
import { type BatchSettings, OBJECTIVE_KINDS, type ObjectiveSpec, objectiveOfRun } from '../index.ts'

/** One flag for every option of every objective; those not given keep the default of the objective. */
export const OBJECTIVE_FLAGS = {
  objective: {
    choices: OBJECTIVE_KINDS,
    demandOption: true,
    describe: 'what is learnt from graded completions (docs/objectives.md)',
  },
  lambda: { type: 'number', describe: 'w-reinforce: advantage of a right completion [0.1]' },
  'lambda-schedule': {
    choices: ['constant', 'linear', 'cosine', 'adaptive'],
    describe: 'w-reinforce: how lambda goes over the steps [constant]',
  },
  'lambda-final': { type: 'number', describe: 'linear, cosine: lambda of the last step' },
  'target-entropy': { type: 'number', describe: 'adaptive: entropy of the rollouts to hold, nats a token' },
  'lambda-rate': { type: 'number', describe: 'adaptive: change of lambda for a nat of difference [0.1]' },
  'lambda-min': { type: 'number', describe: 'adaptive: least lambda [0]' },
  'lambda-max': { type: 'number', describe: 'adaptive: largest lambda [1]' },
  rewards: {
    choices: ['given', 'signed'],
    describe: 'reinforce: the number of the verifier, or +1 and -1 [given]',
  },
  baseline: {
    choices: ['none', 'group', 'batch'],
    describe: 'reinforce: mean that is taken off the reward [none]',
  },
  std: {
    choices: ['sample', 'population'],
    describe: 'where a deviation divides: its divisor is n - 1 or n [sample]',
  },
  'std-epsilon': { type: 'number', describe: 'added to that deviation [1e-4]' },
  'mean-epsilon': { type: 'number', describe: 'maxrl: added to the mean that divides [1e-6]' },
  epsilon: {
    type: 'number',
    describe: 'lower ratio clip at 1 - epsilon [0.2; gspo, gspo-token: 3e-4; gmpo: 0.4; cispo: none]',
  },
  'epsilon-high': {
    type: 'number',
    describe: 'upper ratio clip at 1 + this [epsilon; dapo: 0.28; gspo, gspo-token: 4e-4; cispo: 4]',
  },
  clip: { type: 'boolean', default: true, describe: 'ratio clip; --no-clip switches it off' },
  delta: { type: 'number', describe: 'dual clip at negative advantages [off]' },
  'importance-sampling-level': {
    choices: ['token', 'sequence', 'sequence-token', 'none'],
    describe:
      'scope of the ratio [token; gspo, gmpo: sequence; gspo-token: sequence-token; reinforce, rloo, gpg: none]',
  },
  surrogate: {
    choices: ['clip', 'cispo', 'gmpo', 'sapo', 'topr'],
    describe: 'what is made of ratio and advantage [clip; cispo, gmpo, sapo, topr: their own]',
  },
  'sapo-temperature-pos': { type: 'number', describe: 'sapo: tau at positive advantages [1]' },
  'sapo-temperature-neg': { type: 'number', describe: 'sapo: tau at the others [1.05]' },
  'positive-weight': { type: 'number', describe: 'topr: advantage of a right completion [1]' },
  'negative-weight': { type: 'number', describe: 'topr: minus the advantage of a wrong one [1]' },
  beta: { type: 'number', describe: 'weight of the KL term [0]' },
  'kl-kind': { choices: ['k1', 'k2', 'k3'], describe: 'estimator of the KL term [k3]' },
  'kl-in': {
    choices: ['loss', 'reward'],
    describe: 'where the KL is: a term of the loss, or off the reward [loss]',
  },
  'entropy-coefficient': { type: 'number', describe: 'weight of the entropy bonus [0]' },
  'scale-rewards': {
    choices: ['group', 'batch', 'none'],
    describe: 'whose deviation divides the advantage [grpo and its kin: group; the rest: none]',
  },
  aggregation: {
    choices: ['token-mean', 'sequence-mean-token-mean', 'sequence-mean-token-sum', 'constant'],
    describe:
      'how tokens are joined into the loss [token-mean; dr-grpo: constant; gspo, gspo-token, gmpo, sapo: ' +
      'sequence-mean-token-mean; rloo: sequence-mean-token-sum]',
  },
  constant: {
    type: 'number',
    describe: 'divisor of aggregation constant [completions of an optimiser batch x --max-completion-length]',
  },
  'filter-groups': {
    choices: ['none', 'constant'],
    describe: 'groups to leave out: those whose rewards are all equal [none; dapo: constant]',
  },
  'cov-ratio': { type: 'number', describe: 'clip-cov, kl-cov: share of tokens that are chosen [2e-4]' },
  'cov-low': { type: 'number', describe: 'clip-cov: lower bound of their covariance [1]' },
  'cov-high': { type: 'number', describe: 'clip-cov: upper bound [5]' },
  'old-kl-coefficient': { type: 'number', describe: 'kl-cov: weight of |log-prob - old log-prob| [1]' },
  'value-model': {
    choices: ['separate', 'shared'],
    describe: 'ppo: a critic of its own, or a value head on the policy [separate]',
  },
  gamma: { type: 'number', describe: 'reinforce++, ppo: discount of what later tokens earn [1]' },
  'gae-lambda': { type: 'number', describe: 'ppo: lambda of the advantage estimates [1]' },
  'whiten-advantages': { type: 'boolean', describe: 'ppo: advantages of mean 0 and variance 1 [true]' },
  'value-clip': { type: 'number', describe: 'ppo: how far a value may move in a step [0.2]' },
  'value-coefficient': { type: 'number', describe: 'ppo, shared: weight of the value loss [0.1]' },
  'critic-learning-rate': { type: 'number', describe: 'ppo, separate: its learning rate [1e-5]' },
  'critic-warmup-steps': { type: 'number', describe: 'ppo, separate: steps in which it learns alone [0]' },
  'importance-correction': {
    choices: [
      'none',
      'token-truncate',
      'token-mask',
      'sequence-truncate',
      'sequence-mask',
      'sequence-geometric-mask',
    ],
    describe: 'weights for a sampler that is not the policy, such as top-p [none]',
  },
  'importance-correction-min': { type: 'number', describe: 'their lower bound [none; token-mask: 0.5]' },
  'importance-correction-max': { type: 'number', describe: 'their upper bound [3; token-mask: 5]' },
  'mask-truncated-completions': { type: 'boolean', describe: 'leave unfinished completions out [false]' },
  unparsed: { choices: ['wrong', 'mask'], describe: 'completions without an answer [wrong]' },
  'timed-out': { choices: ['wrong', 'mask'], describe: 'completions that ran out of time [mask]' },
} as const satisfies Record<string, Options>

const OPTION_NAMES = Object.keys(OBJECTIVE_FLAGS)
  .filter((flag) => flag !== 'objective' && flag !== 'clip')
  .map((flag) => flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()))

type ObjectiveArguments = Record<string, unknown> & { objective: string; clip: boolean }

/** The objective that the flags describe; what it does not know, or cannot be in such a run, is refused by name. */
export function objectiveOf(args: ObjectiveArguments & BatchSettings): ObjectiveSpec {
  const spec = objectiveSpecOf(args)
  objectiveOfRun(spec, args)
  return spec
}

/** The same as it is written, where there is no run. */
export function objectiveSpecOf(args: ObjectiveArguments): ObjectiveSpec {
  const given = OPTION_NAMES.filter((name) => args[name] !== undefined).map((name) => [name, args[name]])
  const clip = args.clip ? {} : { epsilon: null, epsilonHigh: null }
  return { kind: args.objective, ...Object.fromEntries(given), ...clip } as ObjectiveSpec
}
