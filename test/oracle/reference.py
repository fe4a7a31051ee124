"""A decoder of the Llama / Mistral / Qwen2 / Qwen3 family in float64, one sequence at a time and nothing clever: the oracle.

It shares no code and no layout with the engine. Rows are dicts with the columns of a rollout file: prompt_tokens,
completion_tokens, temperature, token_weights.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file

F64 = torch.float64


def load_config(folder):
    return json.loads((Path(folder) / "config.json").read_text())


def load_parameters(folder):
    """Every tensor of the folder's safetensors files, by name, as float64 leaves that ask for gradients."""
    parameters = {}
    for path in sorted(Path(folder).glob("model*.safetensors")):
        parameters.update(load_file(path))
    return {name: value.to(F64).requires_grad_() for name, value in parameters.items()}


def head_dim_of(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def rope_of(config):
    """The rotary fields, whether they stand beside each other or inside rope_parameters."""
    rope = dict(config.get("rope_scaling") or config.get("rope_parameters") or {})
    rope.setdefault("rope_theta", config.get("rope_theta", 10000.0))
    rope.setdefault("rope_type", rope.get("type", "default"))
    return rope


def inverse_frequencies(config):
    """[head_dim / 2] in float32, with the roundings of transformers: a checkpoint was trained with these angles."""
    rope, size = rope_of(config), head_dim_of(config)
    frequency = 1.0 / (rope["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float32) / size))
    if rope["rope_type"] == "default":
        return frequency
    assert rope["rope_type"] == "llama3", rope
    low, high, original = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
    scaled = []
    for f in frequency:
        wavelength = 2 * math.pi / f
        if wavelength > original / low:
            f = f / rope["factor"]
        elif wavelength >= original / high:
            smooth = (original / wavelength - low) / (high - low)
            f = (1 - smooth) * f / rope["factor"] + smooth * f
        scaled.append(f)
    return torch.stack(scaled)


def rotate(x, config):
    """x [T, heads, head_dim], position = row. Pairs are (j, j + head_dim / 2)."""
    angle = torch.arange(x.shape[0], dtype=torch.float32)[:, None] * inverse_frequencies(config)
    cos, sin = angle.cos().to(F64)[:, None, :], angle.sin().to(F64)[:, None, :]
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def rms_norm(x, scale, config):
    return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + config.get("rms_norm_eps", 1e-6)) * scale


def window_of(config, layer):
    """Keys that a query of the layer sees, its own included; None: all."""
    sliding = config["model_type"] == "mistral" or (config.get("layer_types") or {layer: ""})[layer] == "sliding_attention"
    return config.get("sliding_window") if sliding else None


def attention(x, p, prefix, config, window):
    heads, kv_heads, size = config["num_attention_heads"], config["num_key_value_heads"], head_dim_of(config)

    def project(name, count):
        out = x @ p[f"{prefix}{name}_proj.weight"].T
        if f"{prefix}{name}_proj.bias" in p:
            out = out + p[f"{prefix}{name}_proj.bias"]
        return out.view(-1, count, size)

    q, k, v = project("q", heads), project("k", kv_heads), project("v", kv_heads)
    if f"{prefix}q_norm.weight" in p:
        q = rms_norm(q, p[f"{prefix}q_norm.weight"], config)
        k = rms_norm(k, p[f"{prefix}k_norm.weight"], config)
    q, k = rotate(q, config), rotate(k, config)
    unseen = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
    if window is not None:
        unseen |= torch.ones(len(x), len(x), dtype=torch.bool).tril(-window)
    outs = []
    for h in range(heads):
        shared = h // (heads // kv_heads)
        score = (q[:, h] @ k[:, shared].T / math.sqrt(size)).masked_fill(unseen, -math.inf)
        outs.append(score.softmax(-1) @ v[:, shared])
    return torch.cat(outs, dim=-1) @ p[f"{prefix}o_proj.weight"].T


def logits(tokens, p, config):
    """[T, vocabulary] for one sequence of T tokens."""
    embedding = p.get("model.embed_tokens.weight")
    x = embedding[torch.tensor(tokens)]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        normed = rms_norm(x, p[f"{prefix}input_layernorm.weight"], config)
        x = x + attention(normed, p, f"{prefix}self_attn.", config, window_of(config, layer))
        y = rms_norm(x, p[f"{prefix}post_attention_layernorm.weight"], config)
        gate, up = y @ p[f"{prefix}mlp.gate_proj.weight"].T, y @ p[f"{prefix}mlp.up_proj.weight"].T
        x = x + (gate * torch.sigmoid(gate) * up) @ p[f"{prefix}mlp.down_proj.weight"].T
    head = embedding if config.get("tie_word_embeddings") else p["lm_head.weight"]
    return rms_norm(x, p["model.norm.weight"], config) @ head.T


def score_row(row, logits_of):
    """Log-probs and entropies of the row's completion tokens at its temperature, each [completion length]."""
    prompt, completion = row["prompt_tokens"], row["completion_tokens"]
    z = logits_of(prompt + completion)[len(prompt) - 1 : -1] / row.get("temperature", 1.0)
    log_p = z.log_softmax(-1)
    return log_p[range(len(completion)), completion], -(log_p.exp() * log_p).sum(-1)


def token_weights_of(row):
    weights = row["token_weights"]
    return torch.tensor(weights, dtype=F64) if isinstance(weights, list) else weights


def score(rows, logits_of):
    """Concatenated log-probs and entropies of all rows, without gradients."""
    with torch.no_grad():
        scored = [score_row(row, logits_of) for row in rows]
    return torch.cat([lp for lp, _ in scored]), torch.cat([entropy for _, entropy in scored])


def gradients(rows, logits_of, parameters):
    """Loss -sum token_weight * log pi and its gradient for every tensor, by name."""
    for value in parameters.values():
        value.grad = None
    loss = 0.0
    for row in rows:
        row_loss = -(token_weights_of(row) * score_row(row, logits_of)[0]).sum()
        row_loss.backward()
        loss += row_loss.item()
    zero = torch.zeros((), dtype=F64)
    return loss, {name: value.grad if value.grad is not None else zero.expand_as(value) for name, value in parameters.items()}


def policy_loss(lp, entropy, old_lp, ref_lp, advantage, norm, options):
    """sum norm * (-surrogate + kl_coef * k3 - entropy_coef * entropy): the loss of ops.h at token scope, clip symmetric."""
    if options["importance"] == "none":
        surrogate = advantage * lp
    else:
        ratio = (lp - old_lp).exp()
        clipped = ratio.clamp(1 - options["clip"], 1 + options["clip"])
        surrogate = torch.minimum(ratio * advantage, clipped * advantage)
    d = ref_lp - lp
    kl = d.exp() - d - 1
    return (norm * (-surrogate + options["kl_coef"] * kl - options["entropy_coef"] * entropy)).sum()
