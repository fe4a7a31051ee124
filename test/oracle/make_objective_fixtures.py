"""Writes fixtures/objectives.json: batches of graded rollouts and what objectives_reference.py makes of them.

    python make_objective_fixtures.py            (with the packages of requirements.txt)
"""

import json
from pathlib import Path

import objectives_reference as reference
import torch

PATH = Path(__file__).parent / "fixtures" / "objectives.json"

# group, reward, verdict, finish reason, tokens: a mixed group of four, one of five with an abstention and a timed-out member,
# one of equal rewards, one alone, two with fractions and an unparsed answer. Members are not neighbours.
ROWS = [
    (0, 1, "right", "stop", 5), (3, 0, "wrong", "stop", 3), (0, 0, "wrong", "length", 7), (1, 1, "right", "stop", 2),
    (0, 0, "unparsed", "stop", 4), (3, 1, "right", "length", 6), (2, 0, "wrong", "stop", 1), (3, None, "unparsed", "stop", 3),
    (0, 1, "right", "stop", 1), (3, 0, "timed-out", "stop", 4), (2, 0, "wrong", "stop", 8), (3, 1, "right", "stop", 2),
    (4, 0.5, "right", "stop", 6), (4, 0.25, "right", "stop", 3), (4, 0, "unparsed", "length", 2), (4, 2, "right", "stop", 5),
]

SPECS = [
    {"kind": "psr"}, {"kind": "nsr"}, {"kind": "w-reinforce"}, {"kind": "w-reinforce", "lambda": 0.5},
    {"kind": "psr", "filterGroups": "constant"}, {"kind": "nsr", "unparsed": "mask", "timedOut": "wrong"},
    {"kind": "reinforce"}, {"kind": "reinforce", "rewards": "signed"}, {"kind": "reinforce", "baseline": "group"},
    {"kind": "reinforce", "baseline": "batch"}, {"kind": "reinforce", "baseline": "batch", "filterGroups": "constant"},
    {"kind": "reinforce", "baseline": "group", "rewards": "signed", "scaleRewards": "group"},
    {"kind": "reinforce", "baseline": "batch", "rewards": "signed", "scaleRewards": "batch", "std": "population"},
    {"kind": "reinforce", "baseline": "group", "scaleRewards": "batch", "importanceSamplingLevel": "token"},
    {"kind": "grpo"}, {"kind": "grpo", "std": "population", "stdEpsilon": 1e-6, "scaleRewards": "batch"},
    {"kind": "grpo", "scaleRewards": "batch", "filterGroups": "constant", "maskTruncatedCompletions": True},
    {"kind": "dr-grpo", "constant": 16 * 8}, {"kind": "dr-grpo", "aggregation": "token-mean"},
    {"kind": "dapo"}, {"kind": "dapo", "filterGroups": "none"}, {"kind": "dapo", "maskTruncatedCompletions": True},
    {"kind": "gspo"}, {"kind": "gspo", "epsilon": 0.05, "epsilonHigh": 0.1},
    {"kind": "rloo"}, {"kind": "rloo", "importanceSamplingLevel": "token", "aggregation": "token-mean"},
    {"kind": "reinforce++"}, {"kind": "reinforce++", "gamma": 0.9, "maskTruncatedCompletions": True},
    {"kind": "reinforce++", "gamma": 0.5, "std": "population", "importanceSamplingLevel": "sequence", "filterGroups": "constant"},
    {"kind": "remax"}, {"kind": "remax", "importanceSamplingLevel": "token", "aggregation": "token-mean", "unparsed": "mask"},
    {"kind": "reinforce++-baseline"}, {"kind": "reinforce++-baseline", "std": "population", "stdEpsilon": 0, "filterGroups": "constant"},
    {"kind": "reinforce++-baseline", "maskTruncatedCompletions": True},
    {"kind": "opo"}, {"kind": "opo", "unparsed": "mask"},
    {"kind": "gpg"}, {"kind": "gpg", "scaleRewards": "group"}, {"kind": "gpg", "maskTruncatedCompletions": True},
    {"kind": "maxrl"}, {"kind": "maxrl", "meanEpsilon": 0.1, "filterGroups": "constant"},
    {"kind": "cispo"}, {"kind": "cispo", "epsilon": 0.2, "epsilonHigh": 0.28}, {"kind": "cispo", "importanceSamplingLevel": "sequence", "epsilonHigh": 0.05},
    {"kind": "gmpo"}, {"kind": "gmpo", "epsilon": 0.1, "epsilonHigh": 0.2, "aggregation": "token-mean"}, {"kind": "gmpo", "filterGroups": "constant"},
    {"kind": "sapo"}, {"kind": "sapo", "sapoTemperaturePos": 2, "sapoTemperatureNeg": 4, "aggregation": "sequence-mean-token-sum"},
    {"kind": "sapo", "importanceSamplingLevel": "sequence", "maskTruncatedCompletions": True},
    {"kind": "topr"}, {"kind": "topr", "positiveWeight": 0.5, "negativeWeight": 2, "aggregation": "constant", "constant": 64},
    {"kind": "topr", "importanceSamplingLevel": "sequence", "unparsed": "mask"},
    {"kind": "gspo-token"}, {"kind": "gspo-token", "epsilon": 0.05, "epsilonHigh": 0.1, "aggregation": "token-mean"},
    {"kind": "clip-cov", "covRatio": 1, "covLow": 0}, {"kind": "clip-cov", "covRatio": 1, "covLow": 0.1, "covHigh": 0.5},
    {"kind": "kl-cov"}, {"kind": "kl-cov", "covRatio": 0.25, "oldKlCoefficient": 0.5}, {"kind": "kl-cov", "covRatio": 1, "epsilon": 0.2},
    {"kind": "nsr", "importanceCorrection": "token-truncate"}, {"kind": "grpo", "importanceCorrection": "token-mask"},
    {"kind": "w-reinforce", "importanceCorrection": "token-mask", "importanceCorrectionMin": None, "importanceCorrectionMax": 1.5},
    {"kind": "rloo", "importanceCorrection": "sequence-truncate"}, {"kind": "grpo", "importanceCorrection": "sequence-mask"},
    {"kind": "gspo-token", "epsilon": 0.05, "importanceCorrection": "token-truncate"},
    {"kind": "gmpo", "importanceCorrection": "sequence-geometric-mask", "importanceCorrectionMin": 0.8, "importanceCorrectionMax": 1.3},
    {"kind": "cispo", "importanceCorrection": "token-truncate", "importanceCorrectionMin": 0.5, "importanceCorrectionMax": 2},
    {"kind": "psr", "surrogate": "topr"}, {"kind": "nsr", "surrogate": "cispo", "epsilon": 0.1, "epsilonHigh": 0.1},
]

# The widest log-ratio between the policy and the one that sampled: none, within gspo's clip and without, and far off.
DRIFTS = {"first update": 0.0, "close": 1e-3, "later": 0.4}


def make_batch(drift, seed):
    generator = torch.Generator().manual_seed(seed)

    def column(low, high):
        return [
            (low + (high - low) * torch.rand(tokens, generator=generator, dtype=torch.float64)).round(decimals=6).tolist()
            for *_, tokens in ROWS
        ]

    logprobs, shifts, sampler_shifts = column(-3, -0.01), column(-drift, drift), column(-1.2, 1.2)
    old_logprobs = [[round(lp - shift, 6) for lp, shift in zip(*pair)] for pair in zip(logprobs, shifts)]
    return {
        "group_ids": [row[0] for row in ROWS],
        "rewards": [row[1] for row in ROWS],
        "verdicts": [row[2] for row in ROWS],
        "finish_reasons": [row[3] for row in ROWS],
        # Of the greedy completion of each group; that of group 2 has none.
        "baseline_rewards": [(1, 0, None, 0.5, 0.25)[row[0]] for row in ROWS],
        # Every seventh token is not the policy's; the last row has none that is.
        "mask": [[int((i + t) % 7 != 6 and i != 11) for t in range(row[4])] for i, row in enumerate(ROWS)],
        "logprobs": logprobs,
        "old_logprobs": old_logprobs,
        "sampler_logprobs": [
            [round(lp - shift, 6) for lp, shift in zip(*pair)] for pair in zip(old_logprobs, sampler_shifts)
        ],
    }


def make_case(batch, spec):
    kept, advantages, _ = reference.advantages(batch, spec)
    loss, gradients = reference.loss(batch, spec)
    return {
        "spec": spec, "kept_rows": kept.nonzero().flatten().tolist(), "advantages": advantages.tolist(),
        "loss": loss, "gradients": gradients,
    }


if __name__ == "__main__":
    batches = []
    for seed, (name, drift) in enumerate(DRIFTS.items(), start=1):
        batch = make_batch(drift, seed)
        batches.append({"name": name, **batch, "cases": [make_case(batch, spec) for spec in SPECS]})
    PATH.write_text(json.dumps(batches, separators=(",", ":")) + "\n")
    print(f"{PATH.stat().st_size / 1e3:.0f} kB, {len(SPECS)} objectives on each of {len(batches)} batches")
