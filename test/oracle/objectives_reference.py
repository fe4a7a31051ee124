"""The objectives in float64, each formula as its paper writes it: the oracle of src/objectives.

A batch is a dict of columns (rewards, verdicts, group_ids, finish_reasons, baseline_rewards, and ragged mask, logprobs, old_logprobs, sampler_logprobs); a spec is an
objective as a user writes it. It shares no code with src/, and torch's autograd gives the gradients.
"""

import torch

F64 = torch.float64

COMMON = dict(
    epsilon=0.2, epsilonHigh=None, importanceSamplingLevel="token", scaleRewards="none", aggregation="token-mean",
    surrogate="clip", filterGroups="none", importanceCorrection="none", std="sample", stdEpsilon=1e-4, maskTruncatedCompletions=False, unparsed="wrong", timedOut="mask",
)
# What a kind has otherwise: the settings of its paper.
KINDS = {
    "psr": {}, "nsr": {}, "w-reinforce": dict(**{"lambda": 0.1}), "opo": {},
    "reinforce": dict(importanceSamplingLevel="none", baseline="none", rewards="given"),
    "grpo": dict(scaleRewards="group"),
    "dr-grpo": dict(aggregation="constant"),
    "dapo": dict(scaleRewards="group", epsilonHigh=0.28, filterGroups="constant"),
    "gspo": dict(
        scaleRewards="group", importanceSamplingLevel="sequence", epsilon=3e-4, epsilonHigh=4e-4,
        aggregation="sequence-mean-token-mean",
    ),
    "rloo": dict(importanceSamplingLevel="none", aggregation="sequence-mean-token-sum"),
    "reinforce++": dict(gamma=1.0), "remax": dict(importanceSamplingLevel="none", aggregation="sequence-mean-token-sum"),
    "reinforce++-baseline": {}, "gpg": dict(importanceSamplingLevel="none"), "maxrl": dict(meanEpsilon=1e-6),
    # No lower bound, and 5 above.
    "cispo": dict(scaleRewards="group", surrogate="cispo", epsilon=float("inf"), epsilonHigh=4.0),
    "gmpo": dict(scaleRewards="group", surrogate="gmpo", epsilon=0.4, aggregation="sequence-mean-token-mean"),
    "sapo": dict(
        scaleRewards="group", surrogate="sapo", sapoTemperaturePos=1.0, sapoTemperatureNeg=1.05,
        aggregation="sequence-mean-token-mean",
    ),
    "topr": dict(surrogate="topr", positiveWeight=1.0, negativeWeight=1.0),
    "clip-cov": dict(scaleRewards="group", covLow=1.0, covHigh=5.0),
    "kl-cov": dict(scaleRewards="group", epsilon=float("inf"), epsilonHigh=float("inf"), covRatio=2e-4, oldKlCoefficient=1.0),
    "gspo-token": dict(
        scaleRewards="group", importanceSamplingLevel="sequence-token", epsilon=3e-4, epsilonHigh=4e-4,
        aggregation="sequence-mean-token-mean",
    ),
}


def options_of(spec):
    options = {**COMMON, **KINDS[spec["kind"]], **spec}
    if options["epsilonHigh"] is None:
        options["epsilonHigh"] = options["epsilon"]
    return options


def is_counted(reward, verdict, options):
    if reward is None:
        return False
    return {"unparsed": options["unparsed"], "timed-out": options["timedOut"]}.get(verdict, "wrong") == "wrong"


def std_of(values, options):
    return torch.std(values, correction=1 if options["std"] == "sample" else 0)


def one_value(values):
    return bool((values == values[0]).all())


def advantages(batch, spec):
    """Which rows are kept, and the advantage of each, 0 where it is not, [rows] both; and those of each row's active tokens where they differ."""
    options = options_of(spec)
    kind, verdicts = options["kind"], batch["verdicts"]
    rows = range(len(verdicts))
    counted = torch.tensor([is_counted(batch["rewards"][i], verdicts[i], options) for i in rows])
    greedy = batch["baseline_rewards"]
    if kind == "remax":
        counted &= torch.tensor([value is not None for value in greedy])
    reward = torch.tensor([batch["rewards"][i] or 0.0 for i in rows], dtype=F64)
    right = torch.tensor([verdict == "right" for verdict in verdicts])
    length = torch.tensor([sum(mask) for mask in batch["mask"]], dtype=F64)
    group = torch.tensor(batch["group_ids"])

    def members(i):
        return (group == group[i]) & counted

    mixed = torch.tensor([bool(counted[i]) and not one_value(reward[members(i)]) for i in rows])
    if options["filterGroups"] == "constant":
        counted = counted & mixed
    kept = counted.clone()
    if options["maskTruncatedCompletions"]:
        kept &= torch.tensor([reason == "stop" for reason in batch["finish_reasons"]])
    if kind == "psr":
        kept &= right
    if kind == "nsr":
        kept &= ~right

    def scale(i, values):
        """What the difference from a baseline is divided by."""
        among = {"none": None, "group": members(i), "batch": counted}[options["scaleRewards"]]
        return 1.0 if among is None else std_of(values[among], options) + options["stdEpsilon"]

    by_token = None
    if kind == "reinforce++":
        # Without a KL the last token alone earns something; a token's return is that, discounted by the steps between.
        ahead = [torch.arange(int(length[i]) - 1, -1, -1, dtype=F64) for i in rows]
        returns = [reward[i] * options["gamma"] ** ahead[i] for i in rows]
        tokens = torch.cat([returns[i] for i in rows if counted[i]])
        scale_of_all = std_of(tokens, options) + options["stdEpsilon"]
        by_token = [torch.zeros_like(of) if one_value(tokens) else (of - tokens.mean()) / scale_of_all for of in returns]

    # Of every counted row, the difference from its group's mean; a group of one value differs in nothing.
    centred = torch.tensor([float(reward[i] - reward[members(i)].mean()) if mixed[i] else 0.0 for i in rows], dtype=F64)

    def advantage(i):
        if kind == "psr":
            return 1.0
        if kind == "nsr":
            return -1.0
        if kind == "w-reinforce":
            return options["lambda"] if right[i] else -1.0
        if kind == "topr":
            return options["positiveWeight"] if right[i] else -options["negativeWeight"]
        if kind == "reinforce":
            value = reward if options["rewards"] == "given" else 2 * right.to(F64) - 1
            if options["baseline"] == "none":
                return value[i]
            among = members(i) if options["baseline"] == "group" else counted
            return 0.0 if one_value(value[among]) else (value[i] - value[among].mean()) / scale(i, value)
        if kind == "remax":
            return reward[i] - greedy[i]
        if kind == "reinforce++":
            return by_token[i].mean() if len(by_token[i]) > 0 else 0.0
        if kind == "reinforce++-baseline":
            # Mean and deviation over tokens: a row counts as often as it has tokens.
            tokens = torch.repeat_interleave(centred[counted], length[counted].long())
            if one_value(tokens):
                return 0.0
            return (centred[i] - tokens.mean()) / (std_of(tokens, options) + options["stdEpsilon"])
        if not mixed[i]:
            return 0.0
        if kind == "rloo":
            others = members(i)
            others[i] = False
            return reward[i] - reward[others].mean()
        if kind == "opo":
            weight = length[members(i)]
            return reward[i] - (weight * reward[members(i)]).sum() / weight.sum()
        if kind == "gpg":
            alpha = int(kept.sum()) / int((kept & mixed).sum())
            return alpha * centred[i] / scale(i, reward)
        if kind == "maxrl":
            return centred[i] / (reward[members(i)].mean() + options["meanEpsilon"])
        return centred[i] / scale(i, reward)

    return kept, torch.stack([torch.as_tensor(advantage(i) if kept[i] else 0.0, dtype=F64) for i in rows]), by_token


def clipped_surrogate(ratio, advantage, options):
    clipped = ratio.clamp(1 - options["epsilon"], 1 + options["epsilonHigh"])
    return torch.minimum(ratio * advantage, clipped * advantage)


def surrogate_of(lp, old, advantage, options):
    """What is maximised at each active token of a completion."""
    name, level = options["surrogate"], options["importanceSamplingLevel"]
    if level == "none":
        return advantage * lp
    log_ratio = lp - old
    if name == "gmpo":
        # The authors' form: the smaller of the signed log-ratio and its clipped self, signed back.
        sign = torch.sign(torch.as_tensor(advantage, dtype=F64))
        clipped = log_ratio.clamp(-options["epsilon"], options["epsilonHigh"])
        return (advantage * (sign * torch.minimum(sign * log_ratio, sign * clipped)).mean().exp()).expand(len(lp))
    ratio = log_ratio.exp() if level == "token" else log_ratio.mean().exp().expand(len(lp))
    if level == "sequence-token":
        ratio = ratio.detach() * lp.exp() / lp.exp().detach()
    if name == "cispo":
        return ratio.clamp(1 - options["epsilon"], 1 + options["epsilonHigh"]).detach() * advantage * lp
    if name == "topr":
        return (advantage * lp) if advantage > 0 else ratio.clamp(0, 1).detach() * advantage * lp
    if name == "sapo":
        tau = options["sapoTemperaturePos"] if advantage > 0 else options["sapoTemperatureNeg"]
        return 4 / tau * torch.sigmoid(tau * (ratio - 1)) * advantage
    return clipped_surrogate(ratio, advantage, options)


def importance_weights(old, sampler, options):
    """What each active token of a completion weighs; one number where the completion has one."""
    kind, log_ratio = options["importanceCorrection"], old - sampler
    if kind == "none":
        return torch.tensor(1.0, dtype=F64)
    low = options.get("importanceCorrectionMin", 0.5 if kind == "token-mask" else None)
    high = options.get("importanceCorrectionMax", 5.0 if kind == "token-mask" else 3.0)
    low, high = 0.0 if low is None else low, float("inf") if high is None else high
    if kind == "sequence-geometric-mask":
        geometric = log_ratio.mean().exp()
        return ((geometric >= low) & (geometric <= high)).to(F64)
    weight = log_ratio.exp() if kind.startswith("token") else log_ratio.sum().exp()
    if kind.endswith("truncate"):
        return weight.clamp(low, high)
    return torch.where((weight >= low) & (weight <= high), weight, torch.zeros_like(weight))


def covariance_choice(advantage, old, options):
    """Which of the batch's active tokens clip-cov or kl-cov chooses; clip-cov with a share of 1, where chance has no part."""
    covariance = (advantage - advantage.mean()) * (old - old.mean())
    if options["kind"] == "clip-cov":
        return (covariance > options["covLow"]) & (covariance < options["covHigh"])
    count = max(1, int(len(covariance) * options["covRatio"]))
    chosen = torch.zeros(len(covariance), dtype=torch.bool)
    chosen[torch.sort(covariance, descending=True, stable=True).indices[:count]] = True
    return chosen


def loss(batch, spec):
    """The loss of the kept rows as one optimiser batch, and its gradient for every token of every row (ragged)."""
    options = options_of(spec)
    kept, advantage, by_token = advantages(batch, spec)
    logprobs = [torch.tensor(row, dtype=F64, requires_grad=True) for row in batch["logprobs"]]
    rows = [i for i in range(len(logprobs)) if kept[i] and any(batch["mask"][i])]
    active = {i: torch.tensor(batch["mask"][i], dtype=torch.bool) for i in rows}
    column = lambda name, i: torch.tensor(batch[name][i], dtype=F64)[active[i]]
    old = {i: column("old_logprobs", i) for i in rows}
    chosen = {i: torch.zeros(len(old[i]), dtype=torch.bool) for i in rows}
    if options["kind"] in ("clip-cov", "kl-cov"):
        lengths = [len(old[i]) for i in rows]
        repeated = torch.cat([advantage[i].expand(len(old[i])) for i in rows])
        choice = covariance_choice(repeated, torch.cat([old[i] for i in rows]), options)
        chosen = dict(zip(rows, choice.split(lengths)))
    per_row = []
    for i in rows:
        lp = logprobs[i][active[i]]
        surrogate = surrogate_of(lp, old[i], advantage[i] if by_token is None else by_token[i], options)
        surrogate = surrogate * importance_weights(old[i], column("sampler_logprobs", i), options)
        if options["kind"] == "clip-cov":
            surrogate = surrogate * ~chosen[i]
        row = -surrogate
        if options["kind"] == "kl-cov":
            row = row + options["oldKlCoefficient"] * (lp - old[i]).abs() * chosen[i]
        per_row.append(row)
    total = {
        "token-mean": lambda: sum(row.sum() for row in per_row) / sum(len(row) for row in per_row),
        "sequence-mean-token-mean": lambda: sum(row.mean() for row in per_row) / len(per_row),
        "sequence-mean-token-sum": lambda: sum(row.sum() for row in per_row) / len(per_row),
        "constant": lambda: sum(row.sum() for row in per_row) / options["constant"],
    }[options["aggregation"]]()
    total.backward()
    gradients = [(lp.grad if lp.grad is not None else torch.zeros_like(lp)).tolist() for lp in logprobs]
    return total.item(), gradients
