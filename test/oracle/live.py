"""The command line against transformers, both directions, on random models of random shapes.

    python live.py [--seed S] [--models N] [--cli "node ... main.ts"]

1. reference.py agrees with transformers (check_reference.py).
2. transformers writes a checkpoint; `score` and `grad` must give its log-probs, entropies and gradients in float64.
   What coppice then saves must hold the same parameters for transformers, and its greedy tokens must be theirs.
3. `score`, `grad` and greedy `generate` with --dtype bf16, on checkpoints in bf16.
4. `init` and `sft` write checkpoints; transformers must load them without a complaint and give the log-probs of `score`.
"""

import argparse
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")

import check_reference
import reference
import torch
import transformers
import transformers_model
from cases import COMMON, CONFIGS, random_rows
from safetensors.torch import load_file

transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)  # the models are too small for more

ROOT = Path(__file__).resolve().parents[2]
LOGPROB_BOUND = 3e-5
GRADIENT_BOUND = 1e-4
# In bf16 what a log-prob is off by grows with the logits: the bound holds for logits of about a unit. Of louder models
# transformers' own bf16 is the measure, and greedy tokens are compared.
BF16_LOGPROB_BOUND = 2e-2
BF16_GRADIENT_BOUND = 5e-2
BF16_LOUDNESS = 0.15
BF16_GREEDY_LOUDNESS = 1.5
BF16_MODELS = 12
GREEDY_TOKENS = 64
# A greedy token is compared where the two largest logits are further apart than four times what a log-prob may be off, which
# must be the case at most positions.
GREEDY_SHARE = 0.9
# In bf16, of one model; all of them together must reach GREEDY_SHARE.
BF16_GREEDY_SHARE = 0.75
# Below this norm a gradient is compared absolutely: it is the rounding of others.
GRADIENT_FLOOR = 1e-6
KINDS = ["qwen3", "llama", "qwen2", "mistral"]
# Of the checkpoints of one family, one after the other: three shapes in float32, three in bfloat16, one in float16.
DTYPES = [torch.float32, torch.bfloat16, torch.float32, torch.bfloat16, torch.float32, torch.bfloat16, torch.float16]


class Failure(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Failure(message)


def random_config(draw, kind):
    """A config of the given architecture, sizes odd on purpose."""
    # Small ones leave many tails; wide ones need more than one block of the vocabulary and of a product's depth.
    wide = draw.random() < 0.4
    kv_heads = draw.choice([1, 2, 3])
    heads = kv_heads * draw.choice([1, 2, 3, 5])
    head_dim = draw.choice([64, 128] if wide else [8, 16, 24, 40])
    fields = dict(
        model_type=kind, vocab_size=draw.randint(1000, 4000) if wide else draw.randint(30, 300),
        hidden_size=heads * (draw.randint(250, 400) // heads if wide else draw.randint(5, 14)),
        intermediate_size=draw.randint(20, 150), num_hidden_layers=draw.randint(1, 3),
        num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim, max_position_embeddings=512,
        tie_word_embeddings=draw.random() < 0.5, rms_norm_eps=draw.choice([1e-5, 1e-6]),
        rope_parameters={"rope_type": "default", "rope_theta": draw.choice([1e4, 1e6])}, **COMMON,
    )
    if kind == "llama" and draw.random() < 0.7:
        fields["rope_parameters"] = {
            "rope_type": "llama3", "rope_theta": 5e5, "factor": draw.choice([4.0, 8.0, 32.0]), "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": draw.choice([16, 64, 128]),
        }
    if kind == "mistral":
        fields["sliding_window"] = draw.choice([2, 20, 64, 100, None])
    elif kind != "llama" and draw.random() < 0.4:
        fields.update(use_sliding_window=True, sliding_window=draw.choice([7, 64, 90]), max_window_layers=draw.randint(0, 2))
    return fields


class Coppice:
    def __init__(self, command, dtype="f32"):
        self.command = shlex.split(command)
        self.dtype = dtype

    def in_dtype(self, dtype):
        return Coppice(shlex.join(self.command), dtype)

    def run(self, *arguments):
        """Runs a verb from the repository's root and returns its standard output."""
        line = [*self.command, *map(str, arguments)]
        result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300)
        require(result.returncode == 0, f"{shlex.join(line)}: exit {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout

    def score(self, model, rows_path, folder):
        out = folder / "scored.jsonl"
        self.run("score", "--model", model, "--in", rows_path, "--out", out, "--dtype", self.dtype)
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        return tuple(
            torch.tensor([value for row in rows for value in row[column]], dtype=torch.float64)
            for column in ("scored_logprobs", "entropies")
        )

    def grad(self, model, rows_path, folder):
        out = folder / "gradients.safetensors"
        printed = self.run("grad", "--model", model, "--in", rows_path, "--out", out, "--json", "--dtype", self.dtype)
        return json.loads(printed)["loss"], load_file(out)

    def greedy(self, model, prompts_path, folder):
        out = folder / "greedy.jsonl"
        lengths = ["--max-completion-length", GREEDY_TOKENS, "--num-generations", 1]
        self.run("generate", "--model", model, "--in", prompts_path, "--out", out, "--temperature", 0, *lengths, "--dtype", self.dtype)
        return [json.loads(line) for line in out.read_text().splitlines()]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def compare_scores(what, scored, expected, bound=LOGPROB_BOUND):
    require(scored[0].shape == expected[0].shape, f"{what}: {scored[0].shape} log-probs, not {expected[0].shape}")
    differences = [(ours - theirs).abs().max().item() for ours, theirs in zip(scored, expected)]
    require(max(differences) <= bound, f"{what}: log-probs and entropies differ by {differences}")
    return max(differences)


def compare_gradients(what, ours, theirs, bound=GRADIENT_BOUND):
    # A tied head is one tensor; the file bears the embedding's name.
    require(ours.keys() == theirs.keys(), f"{what}: tensors {sorted(ours.keys() ^ theirs.keys())} are not in both")
    worst = 0.0
    for name, expected in theirs.items():
        require(ours[name].dtype == torch.float32, f"{what}: {name} is {ours[name].dtype}")
        require(ours[name].shape == expected.shape, f"{what}: {name} is {ours[name].shape}, not {expected.shape}")
        norm = max(expected.norm().item(), GRADIENT_FLOOR)
        difference = (ours[name].double() - expected).norm().item() / norm
        require(difference <= bound, f"{what}: gradient of {name} differs by {difference:.1e}")
        worst = max(worst, difference)
    return worst


def check_foreign_model(coppice, kind, dtype, seed, folder):
    """A checkpoint that transformers wrote, in any dtype and any number of files."""
    draw = random.Random(seed)
    fields = random_config(draw, kind)
    shard = draw.choice(["10GB", "30KB"])
    what = f"model {seed} ({fields['model_type']}, {str(dtype)[6:]}, shards of {shard})"
    transformers_model.random_model(fields, seed).to(dtype).save_pretrained(folder, max_shard_size=shard)
    rows = random_rows(fields["vocab_size"], seed, [draw.randint(1, 200) for _ in range(4)], longest_completion=40)
    rows_path = write_rows(folder / "rollouts.jsonl", rows)
    model = transformers_model.load(folder)
    logits_of = transformers_model.logits_of(model)
    lp = compare_scores(what, coppice.score(folder, rows_path, folder), reference.score(rows, logits_of))
    loss, ours = coppice.grad(folder, rows_path, folder)
    their_loss, theirs = reference.gradients(rows, logits_of, transformers_model.parameters_of(model))
    require(abs(loss - their_loss) <= 1e-5 * max(1, abs(their_loss)), f"{what}: loss {loss}, not {their_loss}")
    gradient = compare_gradients(what, ours, theirs)
    check_saved_again(coppice, what, model, rows_path, folder)
    clear = check_greedy(coppice, what, fields, logits_of, seed, folder)
    print(f"{what}: log-prob and entropy {lp:.1e}, gradient {gradient:.1e}, greedy equal ({clear:.0%} decided)", flush=True)


def check_bf16(coppice, kind, seed, folder):
    """Computing in bf16 on checkpoints in bf16: quiet models by the bounds, loud ones beside transformers' own bf16."""
    draw = random.Random(seed)
    fields = random_config(draw, kind)
    rows = random_rows(fields["vocab_size"], seed, [draw.randint(1, 200) for _ in range(4)], longest_completion=40)
    what = f"model {seed} ({kind}, computed in bf16)"
    coppice = coppice.in_dtype("bf16")
    found = {}
    for name, loudness in (("quiet", BF16_LOUDNESS), ("loud", BF16_GREEDY_LOUDNESS)):
        path = folder / name
        transformers_model.random_model(fields, seed, loudness).to(torch.bfloat16).save_pretrained(path)
        rows_path = write_rows(path / "rollouts.jsonl", rows)
        model = transformers_model.load(path)
        logits_of = transformers_model.logits_of(model)
        expected = reference.score(rows, logits_of)
        scored = coppice.score(path, rows_path, path)
        if name == "quiet":
            found["lp"] = compare_scores(what, scored, expected, BF16_LOGPROB_BOUND)
            _, ours = coppice.grad(path, rows_path, path)
            _, theirs = reference.gradients(rows, logits_of, transformers_model.parameters_of(model))
            found["gradient"] = compare_gradients(what, ours, theirs, BF16_GRADIENT_BOUND)
            continue
        own = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16).eval()
        with torch.no_grad():
            peers = reference.score(rows, lambda tokens: own(torch.tensor([tokens])).logits[0].double())
        off = [(lp - expected[0]).abs().mean().item() for lp in (scored[0], peers[0])]
        require(off[0] <= off[1], f"{what}: log-probs are off by {off[0]:.1e} on average, transformers' in bf16 by {off[1]:.1e}")
        clear = check_greedy(coppice, what, fields, logits_of, seed, path, BF16_LOGPROB_BOUND, BF16_GREEDY_SHARE)
    print(
        f"{what}: log-prob and entropy {found['lp']:.1e}, gradient {found['gradient']:.1e}, greedy equal ({clear:.0%} decided); "
        f"loud: {off[0]:.1e} on average, transformers {off[1]:.1e}", flush=True,
    )
    return clear


def check_greedy(coppice, what, fields, logits_of, seed, folder, bound=LOGPROB_BOUND, least=GREEDY_SHARE):
    """Greedy tokens against the float64 logits behind each of them, whatever came before."""
    prompts = [{"prompt_tokens": row["prompt_tokens"]} for row in random_rows(fields["vocab_size"], seed, [1, 37, 64])]
    rows = coppice.greedy(folder, write_rows(folder / "prompts.jsonl", prompts), folder)
    require(len(rows) == len(prompts), f"{what}: {len(rows)} completions for {len(prompts)} prompts")
    clear = 0
    for row in rows:
        prompt, completion = row["prompt_tokens"], row["completion_tokens"]
        require(len(completion) == GREEDY_TOKENS, f"{what}: {len(completion)} greedy tokens")
        with torch.no_grad():
            top = logits_of(prompt + completion)[len(prompt) - 1 : -1].topk(2)
        for i, (margin, token) in enumerate(zip(top.values[:, 0] - top.values[:, 1], top.indices[:, 0])):
            if margin <= 4 * bound:
                continue
            clear += 1
            require(completion[i] == token, f"{what}: greedy token {i} is {completion[i]}, not {token} (margin {margin:.1e})")
    share = clear / (GREEDY_TOKENS * len(rows))
    require(share >= least, f"{what}: only {share:.0%} of the greedy positions have a margin that decides")
    return share


def check_saved_again(coppice, what, model, rows_path, folder):
    """A step of length zero writes the model that was read, as float32: transformers must find the same parameters."""
    saved = folder / "saved"
    coppice.run("sft", "--model", folder, "--in", rows_path, "--steps", 1, "--learning-rate", 0, "--out", saved)
    again = transformers_model.parameters_of(transformers_model.load(saved))
    for name, parameter in transformers_model.parameters_of(model).items():
        require(torch.equal(parameter, again[name]), f"{what}: saved again, {name} is not what it was")


def check_own_model(coppice, kind, seed, folder):
    """Checkpoints that `init` and `sft` wrote, read by transformers."""
    fields = {name: value for name, value in CONFIGS[kind].items() if value is not None}
    config_path = folder / "config.json"
    config_path.write_text(json.dumps(fields))
    rows = random_rows(fields["vocab_size"], seed, [3, 64, 90], longest_completion=30)
    rows_path = write_rows(folder / "rollouts.jsonl", rows)
    coppice.run("init", "--config", config_path, "--seed", seed, "--out", folder / "init")
    coppice.run("sft", "--model", folder / "init", "--in", rows_path, "--steps", 3, "--out", folder / "sft")
    previous = None
    for stage in ("init", "sft"):
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder / stage, dtype=torch.float32, output_loading_info=True
        )
        complaints = {problem: list(names) for problem, names in info.items() if names}
        require(not complaints, f"{kind} after {stage}: transformers says {complaints}")
        expected = reference.score(rows, transformers_model.logits_of(transformers_model.in_float64(model)))
        lp = compare_scores(f"{kind} after {stage}", coppice.score(folder / stage, rows_path, folder), expected)
        print(f"{kind} after {stage}, read by transformers: log-prob and entropy {lp:.1e}", flush=True)
        require(previous is None or (expected[0] - previous).abs().max() > 1e-3, f"{kind}: sft changed nothing")
        previous = expected[0]


def in_new_folder(check, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        return check(*arguments, Path(folder))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1, help="of the random models")
    parser.add_argument("--models", type=int, default=28, help="number of random models")
    parser.add_argument("--cli", default="node --import tsx src/cli/main.ts", help="how coppice is run from the root")
    options = parser.parse_args()
    coppice = Coppice(options.cli)
    for seed, (name, fields) in enumerate(CONFIGS.items(), start=1):
        require(check_reference.check(name, fields, seed), f"{name}: reference.py and transformers disagree")
    for i in range(options.models):
        dtype = DTYPES[i // len(KINDS) % len(DTYPES)]
        in_new_folder(check_foreign_model, coppice, KINDS[i % len(KINDS)], dtype, 100 * options.seed + i)
    first = 100 * options.seed + options.models
    shares = [in_new_folder(check_bf16, coppice, KINDS[i % len(KINDS)], first + i) for i in range(BF16_MODELS)]
    share = sum(shares) / len(shares)
    print(f"in bf16 {share:.0%} of the greedy positions decided", flush=True)
    require(share >= GREEDY_SHARE, f"in bf16 only {share:.0%} of the greedy positions have a margin that decides")
    for kind in CONFIGS:
        in_new_folder(check_own_model, coppice, kind, options.seed)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"live oracle: {failure}")
