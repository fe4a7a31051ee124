"""Writes fixtures/: small random checkpoints, rollouts and the float64 numbers that the engine must reach.

    python make_fixtures.py            (with the packages of requirements.txt)

A fixture is a model folder with rollouts.jsonl, expected.json (log-probs and entropies of every completion token in row order,
loss) and gradients.safetensors. Those of optimizer steps hold losses, gradient norms and final parameters instead.
"""

import json
import shutil
from pathlib import Path

import reference
import torch
import transformers_model
from cases import CONFIGS, OPTIMIZER_CONFIG, OPTIMIZER_SETTINGS, random_rows
from safetensors.torch import save_file

FIXTURES = Path(__file__).parent / "fixtures"
# Every way in which parameters may lie in files: one file or shards, each of the three dtypes.
STORED_AS = {
    "qwen2-tied": (torch.float32, "10GB"),
    "qwen3-untied": (torch.bfloat16, "40KB"),
    "llama-llama3": (torch.float16, "10GB"),
    "mistral-window": (torch.bfloat16, "10GB"),
}


def write_model(folder, config_fields, seed, dtype=torch.float32, shard="10GB"):
    shutil.rmtree(folder, ignore_errors=True)
    model = transformers_model.random_model(config_fields, seed).to(dtype)
    model.save_pretrained(folder, max_shard_size=shard)
    (folder / "generation_config.json").unlink()
    # The references are those of the parameters as stored, after rounding.
    return reference.load_config(folder), reference.load_parameters(folder)


def write_rows(folder, rows):
    (folder / "rollouts.jsonl").write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))


def write_expected(folder, values):
    (folder / "expected.json").write_text(json.dumps(values, indent=1) + "\n")


def as_float32(tensors):
    return {name: value.detach().to(torch.float32).contiguous() for name, value in tensors.items()}


def make_gradient_fixture(name, config_fields, seed):
    folder = FIXTURES / name
    config, parameters = write_model(folder, config_fields, seed, *STORED_AS[name])
    rows = random_rows(config["vocab_size"], seed)
    write_rows(folder, rows)

    def logits_of(tokens):
        return reference.logits(tokens, parameters, config)

    logprobs, entropies = reference.score(rows, logits_of)
    loss, gradients = reference.gradients(rows, logits_of, parameters)
    write_expected(folder, {"loss": loss, "logprobs": logprobs.tolist(), "entropies": entropies.tolist()})
    save_file(as_float32(gradients), folder / "gradients.safetensors")


def make_optimizer_fixture(seed):
    """Ten AdamW steps on one batch for each setting, torch's own optimiser in float64."""
    folder = FIXTURES / "adamw"
    config, initial = write_model(folder, OPTIMIZER_CONFIG, seed)
    generator = torch.Generator().manual_seed(seed)
    rows = random_rows(config["vocab_size"], seed, prompt_lengths=[5, 9, 3], longest_completion=12)
    with torch.no_grad():
        for row in rows:
            lp, _ = reference.score_row(row, lambda tokens: reference.logits(tokens, initial, config))
            del row["token_weights"]
            row["completion_mask"] = [int(i % 5 != 4) for i in range(len(lp))]
            row["advantages"] = torch.randn(len(lp), generator=generator, dtype=torch.float64).round(decimals=4).tolist()
            # Recorded log-probs a little off, so that some ratios start outside the clip range.
            row["logprobs"] = (lp + 0.15 * torch.randn(len(lp), generator=generator)).to(torch.float32).tolist()
            row["ref_logprobs"] = (lp + 0.1 * torch.randn(len(lp), generator=generator)).to(torch.float32).tolist()
    write_rows(folder, rows)
    expected = {}
    for name, setting in OPTIMIZER_SETTINGS.items():
        losses, norms, final = run_adamw(rows, initial, config, setting)
        expected[name] = {"setting": setting, "losses": losses, "grad_norms": norms}
        save_file(as_float32(final), folder / f"final-{name}.safetensors")
    write_expected(folder, expected)


def run_adamw(rows, initial, config, setting):
    parameters = {name: value.detach().clone().requires_grad_() for name, value in initial.items()}
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=setting["learning_rate"], betas=(0.9, 0.999), eps=1e-8, weight_decay=setting["weight_decay"]
    )

    def column(name):
        return torch.tensor([value for row in rows for value in row[name]], dtype=torch.float64)

    mask = column("completion_mask")
    norm = mask / mask.sum()
    losses, norms = [], []
    for _ in range(10):
        scored = [reference.score_row(row, lambda tokens: reference.logits(tokens, parameters, config)) for row in rows]
        lp, entropy = (torch.cat(values) for values in zip(*scored))
        loss = reference.policy_loss(
            lp, entropy, column("logprobs"), column("ref_logprobs"), column("advantages"), norm, setting
        )
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), setting["max_grad_norm"]).item())
        losses.append(loss.item())
        optimizer.step()
    return losses, norms, parameters


if __name__ == "__main__":
    for seed, (name, fields) in enumerate(CONFIGS.items(), start=1):
        make_gradient_fixture(name, fields, seed)
    make_optimizer_fixture(seed=9)
    total = sum(path.stat().st_size for path in FIXTURES.rglob("*") if path.is_file())
    print(f"{total / 1e6:.2f} MB under {FIXTURES}")
