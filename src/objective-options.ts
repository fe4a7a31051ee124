// Every option of an objective, with its meaning, default and source. Which rows an objective keeps and what advantage
// it gives them is in objectives/rules.ts; the formula that turns advantages into a loss is policy_loss in native/ops/ops.h.

/** What is learnt from a batch of graded rollouts. "Right" is the verdict; where there is none, reward > 0. See `ObjectiveOptions.unparsed`. */
export type Objective =
  /** Positive sample reinforcement (arXiv 2506.01347): only right completions are kept, advantage +1. */
  | { kind: 'psr' }
  /**
   * Negative sample reinforcement (arXiv 2506.01347): only wrong completions are kept, advantage -1. The right ones are
   * dropped before the update, so that the token mean is over the wrong ones; that is not the same as advantage 0.
   */
  | { kind: 'nsr' }
  /** Weighted REINFORCE (arXiv 2506.01347): every completion is kept, right ones at +lambda, wrong ones at -1. */
  | {
      kind: 'w-reinforce'
      /**
       * Advantage of a right completion, >= 0. Default 0.1, the paper's. At 1 it is REINFORCE with rewards of +1 and -1
       * under a ratio clip; at 0 it is not nsr, since the right completions still count in the token mean.
       */
      lambda?: number
      /**
       * How lambda goes from step to step of a run; elsewhere it is what it is. `constant` (default); `linear` and `cosine` (half a
       * cosine) from `lambda` in the first step to `lambdaFinal` in the last; `adaptive`: begins at `lambda`, and after each step
       * lambda += lambdaRate * (entropy - targetEntropy), kept within lambdaMin and lambdaMax, where entropy is the rollouts' mean
       * over tokens. Reinforcing right completions lowers the entropy: lambda rises while there is more of it than the target.
       * The controller is this project's own.
       */
      lambdaSchedule?: 'constant' | 'linear' | 'cosine' | 'adaptive'
      /** Of the last step, >= 0; needed by `linear` and `cosine`. */
      lambdaFinal?: number | null
      /** In nats a token, >= 0; needed by `adaptive`. */
      targetEntropy?: number | null
      /** Change of an adaptive lambda for a nat of difference. Default 0.1. */
      lambdaRate?: number
      /** Bounds of an adaptive lambda. Default 0 and 1. */
      lambdaMin?: number
      lambdaMax?: number
    }
  /**
   * REINFORCE (Williams, 1992): the gradient is that of advantage * log-prob, with no ratio. The advantage is the reward,
   * less a baseline where one is asked for. TRL has nothing of this name; verl and ROLL have it as a loss without a ratio.
   */
  | ({
      kind: 'reinforce'
      /**
       * What counts as the reward: `given` (default) takes the verifier's number, `signed` +1 for a right and -1 for a wrong
       * completion. With rewards of 0 and 1, `given` without a baseline leaves the wrong ones without a gradient.
       */
      rewards?: 'given' | 'signed'
      /** What is taken off: `none` (default), the mean of the prompt's completions (`group`), or of all of them (`batch`). */
      baseline?: 'none' | 'group' | 'batch'
    } & DeviationOptions)
  /**
   * Group relative policy optimisation (arXiv 2402.03300, eq. 3): (reward - group mean) / (std + stdEpsilon). TRL's `grpo`
   * advantages, verl's `adv_estimator=grpo` but for the epsilon; the paper's loss has `sequence-mean-token-mean`.
   */
  | ({ kind: 'grpo' } & DeviationOptions)
  /**
   * Dr. GRPO (arXiv 2503.20783): reward - group mean, divided by nothing; aggregation `constant`, so that neither the
   * spread of the rewards nor the length of a completion weighs in. TRL: `loss_type='dr_grpo'` with `scale_rewards='none'`;
   * verl: `norm_adv_by_std_in_grpo=False` with `seq-mean-token-sum-norm`.
   */
  | { kind: 'dr-grpo' }
  /**
   * DAPO (arXiv 2503.14476, eq. 8): grpo's advantages, the ratio clipped to [0.8, 1.28], the token mean, groups of equal
   * rewards left out. The paper samples others in their place and so does verl; here `train` does with `refillRounds`. TRL's
   * `loss_type='dapo'` is the token mean alone. The length punishment (eq. 13) is the verifier `overlong`.
   */
  | ({ kind: 'dapo' } & DeviationOptions)
  /**
   * GSPO (arXiv 2507.18071, eq. 5): grpo's advantages with one ratio for a completion, clipped to [1 - 3e-4, 1 + 4e-4], and
   * a mean over completions. TRL: `importance_sampling_level='sequence'` with `loss_type='grpo'`; verl: `loss_mode=gspo`.
   */
  | ({ kind: 'gspo' } & DeviationOptions)
  /**
   * REINFORCE leave-one-out (arXiv 2402.14740): reward - mean of the other completions' rewards, which is G / (G - 1) times
   * the difference from the mean of all G. A completion is one action: no ratio, tokens summed. TRL clips the ratio of
   * whole completions (the same gradient on a first update) and puts the KL into the reward (`klIn`); verl has these advantages
   * under its ratio of tokens, and leaves the reward of a group of one as it is, where here it is 0.
   */
  | { kind: 'rloo' }
  /**
   * REINFORCE++ with baseline (arXiv 2501.03262): reward - group mean, then whitened over all tokens of the batch, so that
   * a completion counts as often as it has tokens. OpenRLHF: `reinforce_baseline`; verl: `reinforce_plus_plus_baseline`.
   * It is usually run with a KL loss of kind k2 (`beta`, `klKind`).
   */
  | ({ kind: 'reinforce++-baseline' } & DeviationOptions)
  /**
   * REINFORCE++ (arXiv 2501.03262): a token's return is what the completion earns from it on, sum over t' >= t of
   * gamma^(t' - t) r_t', where the last token that the policy produced earns the reward and each of them loses `beta` times its
   * KL estimate; the returns of all tokens of the batch then get mean 0 and deviation 1. The KL is off the reward and of kind k1
   * unless `klIn` and `klKind` say otherwise. OpenRLHF: `reinforce`; verl: `reinforce_plus_plus`.
   */
  | ({
      kind: 'reinforce++'
      /** Discount of what later tokens earn, 0 to 1. Default 1, as in OpenRLHF and verl. */
      gamma?: number
    } & DeviationOptions)
  /**
   * ReMax (arXiv 2310.10505): reward - reward of the greedy completion of the same prompt. `train` samples and judges one such
   * completion a prompt and step; it takes no part in the loss. A completion is one action: no ratio, tokens summed. verl:
   * `adv_estimator=remax`.
   */
  | { kind: 'remax' }
  /**
   * On-policy RL with the optimal baseline (arXiv 2505.23585): reward - sum(length * reward) / sum(length) over the group.
   * verl's `opo`, but for groups of one: they keep their reward there and get 0 here. The paper takes one update a batch.
   */
  | { kind: 'opo' }
  /**
   * Group policy gradient (arXiv 2504.02546): alpha * (reward - group mean) / F, without a ratio. alpha = B / (B - M), M of the
   * batch's B completions being in groups of equal rewards; F is 1, or the group's deviation with `scaleRewards: 'group'`.
   * verl counts rewards other than 0 instead of B - M. The paper's threshold below which it samples more is not here.
   */
  | ({ kind: 'gpg' } & DeviationOptions)
  /**
   * Maximum likelihood RL (arXiv 2602.02710): (reward - group mean) / (group mean + meanEpsilon), for rewards of at least 0.
   * TRL: `scale_rewards='mean'`.
   */
  | {
      kind: 'maxrl'
      /** Added to the mean. Default 1e-6, as in the released code. */
      meanEpsilon?: number
    }
  /**
   * CISPO (MiniMax-M1, arXiv 2506.13585, eq. 4): grpo's advantages under `surrogate` cispo and the token mean. No lower bound;
   * the upper one is 1 + 4 = 5, the eps_max of ScaleRL (arXiv 2510.13786) and TRL's `loss_type='cispo'` with `epsilon_high=5`,
   * which is the bound itself. verl: `loss_mode=cispo`, bounded on both sides by its clip ratios.
   */
  | ({ kind: 'cispo' } & DeviationOptions)
  /**
   * GMPO (arXiv 2507.20673): grpo's advantages times the geometric mean of a completion's clipped ratios (`surrogate` gmpo), a
   * mean over completions, the ratios clipped to [exp(-0.4), exp(0.4)]. verl: `loss_mode=geo_mean`.
   */
  | ({ kind: 'gmpo' } & DeviationOptions)
  /**
   * SAPO (arXiv 2511.20347): grpo's advantages under a soft gate instead of a clip (`surrogate` sapo), a mean over completions.
   * TRL: `loss_type='sapo'`.
   */
  | ({ kind: 'sapo' } & DeviationOptions)
  /**
   * TOPR (arXiv 2503.14286, eq. 8): right completions weigh `positiveWeight`, without a ratio; wrong ones -`negativeWeight` times
   * the ratio cut to [0, 1], a constant (`surrogate` topr). The paper's ratio is of a whole completion; here it is a token's, as
   * in ROLL's `pg_variant: topr`.
   */
  | {
      kind: 'topr'
      /** Advantage of a right completion, >= 0. Default 1. */
      positiveWeight?: number
      /** Minus the advantage of a wrong one, >= 0. Default 1. */
      negativeWeight?: number
    }
  /**
   * GSPO-token (arXiv 2507.18071, eq. 13): gspo with `importanceSamplingLevel` sequence-token. While a completion's advantage is
   * the same at all of its tokens the gradient is gspo's; it differs where tokens are weighed apart (`importanceCorrection`).
   * TRL: `importance_sampling_level='sequence_token'`.
   */
  | ({ kind: 'gspo-token' } & DeviationOptions)
  /**
   * Clip-Cov (arXiv 2505.22617): grpo, but for tokens that it would make more certain still. Of the tokens whose covariance of
   * log-prob and advantage lies between `covLow` and `covHigh` some, chosen at random, have no gradient from the surrogate.
   * verl: `loss_mode=clip_cov`, which takes the covariance from the log-probs of the moment, by micro-batch, and passes over
   * tokens that the clip has taken; here it is that of the optimiser batch, from the recorded log-probs.
   */
  | ({
      kind: 'clip-cov'
      /** How many, as a share of the active tokens; at least one. Default 2e-4. */
      covRatio?: number
      /** Default 1. */
      covLow?: number
      /** Default 5. */
      covHigh?: number
    } & DeviationOptions)
  /**
   * KL-Cov (arXiv 2505.22617): grpo without a clip, and `oldKlCoefficient` * |log-prob - old log-prob| added to the loss of
   * the tokens with the largest covariance of log-prob and advantage, which is taken as in clip-cov. On a batch's first update
   * the penalty is 0 and so is its gradient. verl: `loss_mode=kl_cov`.
   */
  | ({
      kind: 'kl-cov'
      /** How many, as a share of the active tokens; at least one. Default 2e-4. */
      covRatio?: number
      /** Default 1. */
      oldKlCoefficient?: number
    } & DeviationOptions)

  /**
   * PPO with a critic (arXiv 1707.06347; the critic as in arXiv 2506.01347): a token's advantage is the generalised estimate
   * (arXiv 1506.02438) from the critic's values. TRL: `PPOTrainer`; verl: `adv_estimator=gae`.
   */
  | ({ kind: 'ppo' } & CriticOptions)

/** Options of objectives with a critic. A completion ends its episode, truncated or not; masked tokens are no steps of it. */
export interface CriticOptions {
  /** `separate` (default): a model of its own with a scalar head. `shared`: such a head on the policy itself. */
  valueModel?: 'separate' | 'shared'
  /** Discount, 0 to 1. Default 1. */
  gamma?: number
  /** lambda of the generalised advantage estimate, 0 to 1. Default 1: the return less the value. TRL: `lam`. */
  gaeLambda?: number
  /**
   * Whether the advantages, not the returns, are brought to mean 0 and variance 1 over all active tokens of a step's rollouts:
   * (A - mean) / sqrt(variance + 1e-8), the variance with n - 1. Default true.
   */
  whitenAdvantages?: boolean
  /**
   * How far a value may move from the one at sampling before its loss stops pulling it: 0.5 max((v - R)^2, (clip(v) - R)^2).
   * Default 0.2, TRL's `cliprange_value`; verl has 0.5. null: no clip.
   */
  valueClip?: number | null
  /** Weight of the value loss beside the policy's, with a shared model. Default 0.1 there (TRL's `vf_coef`), null elsewhere. */
  valueCoefficient?: number | null
  /** Constant learning rate of a separate critic. Default 1e-5 there, null elsewhere: a shared one has the policy's. */
  criticLearningRate?: number | null
  /** Steps of a run at the beginning in which a separate critic alone learns. Default 0. verl: `critic_warmup`. */
  criticWarmupSteps?: number
}

/** Options of objectives that divide by a standard deviation. */
export interface DeviationOptions {
  /**
   * `sample` (default) divides the squared deviations by n - 1 (Bessel), as TRL's and verl's torch.std does;
   * `population` divides them by n.
   */
  std?: 'sample' | 'population'
  /** Added to the standard deviation. Default 1e-4, as in TRL; verl has 1e-6. */
  stdEpsilon?: number
}

export type ObjectiveKind = Objective['kind']

/** Options of every objective. An objective may have another default than the one given here; its rule says so. */
export interface ObjectiveOptions {
  /**
   * Lower clip of the ratio rho = exp(log-prob - old log-prob) at 1 - epsilon (PPO, arXiv 1707.06347, eq. 7). Default 0.2.
   * null or Infinity: no lower clip.
   */
  epsilon?: number | null
  /** Upper clip at 1 + epsilonHigh ("clip-higher" of DAPO, arXiv 2503.14476, section 3.1). Default: epsilon. null: none. */
  epsilonHigh?: number | null
  /**
   * Dual clip (arXiv 1912.09729): where the advantage is negative the loss of a token is at most delta * |advantage|.
   * More than 1. Default null: off, as in the released code of arXiv 2506.01347. TRL's name.
   */
  delta?: number | null
  /**
   * `token` (default): a ratio for each token. `sequence`: one ratio for a completion, exp of the mean log-ratio
   * (GSPO, arXiv 2507.18071). `sequence-token`: the value of that ratio, while the gradient of a token is its own. `none`: no
   * ratio, the loss is -advantage * log-prob; nothing is clipped then.
   */
  importanceSamplingLevel?: 'token' | 'sequence' | 'sequence-token' | 'none'
  /**
   * What is made of ratio and advantage, sg being a constant of the gradient; verl's `loss_mode`, part of TRL's `loss_type`.
   * `clip` (default): min(rho A, clip(rho) A), the clip as above (PPO, arXiv 1707.06347, eq. 7);
   * `cispo`: sg(clip(rho)) A log-prob (arXiv 2506.13585): a token past the bound goes on to count, at the bound. By default there
   * is no lower bound, and the upper one is 5 (epsilonHigh 4);
   * `gmpo`: A times exp of the mean of the clipped log-ratios, at most epsilonHigh (0.4) where A > 0, at least -epsilon where
   * A < 0 (arXiv 2507.20673). Its `importanceSamplingLevel` is sequence;
   * `sapo`: (4 / tau) sigmoid(tau (rho - 1)) A (arXiv 2511.20347), which takes no clip;
   * `topr`: A log-prob where A > 0, sg(min(rho, 1)) A log-prob elsewhere (arXiv 2503.14286).
   */
  surrogate?: 'clip' | 'cispo' | 'gmpo' | 'sapo' | 'topr'
  /** tau of surrogate `sapo` where the advantage is positive, > 0. Default 1.0 there, null elsewhere. TRL's name. */
  sapoTemperaturePos?: number | null
  /** The same for the rest. Default 1.05, so that tokens pushed down are let go of sooner. */
  sapoTemperatureNeg?: number | null
  /** Weight of the KL divergence from the reference policy, in the loss or the reward. Default 0: no reference policy is needed. */
  beta?: number
  /**
   * Estimator of that divergence from d = reference log-prob - log-prob (Schulman, 2020): `k1` = -d, `k2` = d^2 / 2,
   * `k3` = exp(d) - d - 1. Default k3, GRPO's. As a loss, k1 has an expected gradient of zero on-policy.
   */
  klKind?: 'k1' | 'k2' | 'k3'
  /**
   * Where the divergence is: a term of the `loss` (default), or off the `reward`: reward - beta * its sum over the completion's
   * tokens, from the log-probs as they were sampled, before any baseline, deviation or filter of advantages is taken. TRL's
   * RLOOTrainer has k1 there. `filterGroups` and the metrics of rewards go by what the verifier gave.
   */
  klIn?: 'loss' | 'reward'
  /** Weight of the entropy bonus, >= 0. Default 0; the paper states 1e-4, its released code has 1e-3. */
  entropyCoefficient?: number
  /**
   * What the difference from the baseline is divided by: the standard deviation of its `group` or of the whole `batch`'s
   * rewards (TRL's two), or `none` (Dr. GRPO, arXiv 2503.20783). The batch is that of the rollouts, before it is cut into
   * optimiser batches. Default `group` for grpo and what differs from it in the loss (dapo, gspo, gspo-token, cispo, gmpo, sapo),
   * `none` for reinforce (with a baseline) and gpg, which may have another. The rest know only `none`.
   */
  scaleRewards?: 'group' | 'batch' | 'none'
  /**
   * How the tokens' losses are joined, with |o_i| the active tokens of completion i and n the completions that have any,
   * all of them counted over the whole optimiser batch:
   * `token-mean` (default): sum / sum_i |o_i| (DAPO, arXiv 2503.14476, section 3.3);
   * `sequence-mean-token-mean`: (1/n) sum_i (sum_t / |o_i|) (GRPO, arXiv 2402.03300, eq. 3);
   * `sequence-mean-token-sum`: (1/n) sum_i sum_t;
   * `constant`: sum / constant (Dr. GRPO, arXiv 2503.20783).
   */
  aggregation?: 'token-mean' | 'sequence-mean-token-mean' | 'sequence-mean-token-sum' | 'constant'
  /**
   * The divisor of aggregation `constant`, > 0. Default in `train`: completions of an optimiser batch times
   * `maxCompletionLength`, as in TRL, the same for a smaller last batch; elsewhere it must be given.
   */
  constant?: number | null
  /**
   * `constant`: groups whose rewards are all equal (a group of one is) take no part, neither in the update nor in the
   * statistics of the batch, so that the denominators count the other groups alone; to give them advantage 0 is something
   * else. That is DAPO's dynamic sampling (arXiv 2503.14476, section 3.2; verl: `filter_groups`). Unless `refillRounds` of
   * `train` samples others, the update is smaller by them; `filtered_groups` of the metrics says by how many. Default `none`; dapo's is `constant`.
   */
  filterGroups?: 'none' | 'constant'
  /**
   * Corrects for a sampler that is not the policy: another engine, or top-p, top-k and min-p. w = exp(old log-prob - the
   * sampler's log-prob), from the columns `logprobs` (of the policy) and `sampler_logprobs`, is a constant that multiplies the
   * loss of the surrogate; the KL term, the entropy bonus and the denominators are as without it. `none` (default);
   * `token-truncate`: w of each token, bounded (TIS); `token-mask`: w, or 0 outside the bounds (MIS, IcePop);
   * `sequence-truncate`, `sequence-mask`: the same with the product of a completion's w for all of its tokens;
   * `sequence-geometric-mask`: 1, or 0 where the geometric mean of a completion's w is outside the bounds.
   * TRL: `vllm_importance_sampling_mode`.
   */
  importanceCorrection?:
    | 'none'
    | 'token-truncate'
    | 'token-mask'
    | 'sequence-truncate'
    | 'sequence-mask'
    | 'sequence-geometric-mask'
  /** Lower bound of the weights of `importanceCorrection`, >= 0. Default 0.5 for token-mask (IcePop), else null: none. */
  importanceCorrectionMin?: number | null
  /** Upper bound. Default 5 for token-mask, 3 (TRL's) for the others; sequence-geometric-mask has none and needs one of the two. */
  importanceCorrectionMax?: number | null
  /**
   * Leave completions that did not finish (finish reason other than `stop`) out of the update, as DAPO and TRL do; their
   * rewards still count in the group's mean and standard deviation. Default false.
   */
  maskTruncatedCompletions?: boolean
  /**
   * Completions in which the verifier found no answer: `wrong` (default, as in the paper's code) whatever their reward is,
   * or `mask`: they take no part, neither in the update nor in a group's statistics.
   */
  unparsed?: 'wrong' | 'mask'
  /** The same for completions on which the verifier ran out of time. Default `mask`. A reward of null always masks. */
  timedOut?: 'wrong' | 'mask'
}

/** An objective with its options in one object, as users write it. */
export type ObjectiveSpec = Objective & ObjectiveOptions

export type OptionsOf<K extends ObjectiveKind> = Omit<Extract<Objective, { kind: K }>, 'kind'>
export type ResolvedOptions = Required<ObjectiveOptions>
/** One kind of objective with every option present. */
export type ResolvedOf<K extends ObjectiveKind> = { kind: K } & Required<OptionsOf<K>> & ResolvedOptions
/** An objective with every option present. Survives JSON, and resolves to itself. */
export type ResolvedObjective = { [K in ObjectiveKind]: ResolvedOf<K> }[ObjectiveKind]
