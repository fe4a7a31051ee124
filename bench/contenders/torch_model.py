"""Llama and Qwen2 in plain PyTorch, from a Hugging Face config: RMSNorm, rotary positions, grouped heads, SwiGLU."""

import torch
import torch.nn.functional as F
from torch import nn


def rotary_tables(config, length):
    """cos and sin [length, head_dim], each half repeated, as in rotate-half."""
    head_dim = head_size(config)
    theta = config.get("rope_theta") or config.get("rope_parameters", {}).get("rope_theta", 10_000.0)
    frequencies = theta ** (-torch.arange(0, head_dim, 2).float() / head_dim)
    angles = torch.outer(torch.arange(length).float(), frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def head_size(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def rotate(x, cos, sin):
    """x [..., length, head_dim]"""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Layer(nn.Module):
    """One layer. `attend(q, k, v)` is left to the caller: training attends within the rows, generation to a cache."""

    def __init__(self, config):
        super().__init__()
        hidden, ffn = config["hidden_size"], config["intermediate_size"]
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.head_dim, self.eps = head_size(config), config["rms_norm_eps"]
        self.q_rows, self.kv_rows = self.heads * self.head_dim, self.kv_heads * self.head_dim
        # One product for q, k and v and one for gate and up: the quicker way.
        self.qkv = nn.Linear(hidden, self.q_rows + 2 * self.kv_rows, bias=config["model_type"] == "qwen2")
        self.out = nn.Linear(self.q_rows, hidden, bias=False)
        self.gate_up = nn.Linear(hidden, 2 * ffn, bias=False)
        self.down = nn.Linear(ffn, hidden, bias=False)
        self.attention_norm = nn.Parameter(torch.ones(hidden))
        self.ffn_norm = nn.Parameter(torch.ones(hidden))

    def forward(self, x, cos, sin, attend):
        rows, length, hidden = x.shape
        normed = F.rms_norm(x, (hidden,), self.attention_norm.to(x.dtype), self.eps)
        q, k, v = self.qkv(normed).split((self.q_rows, self.kv_rows, self.kv_rows), dim=-1)
        q, k, v = (part.view(rows, length, -1, self.head_dim).transpose(1, 2) for part in (q, k, v))
        mixed = attend(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, length, -1))
        normed = F.rms_norm(x, (hidden,), self.ffn_norm.to(x.dtype), self.eps)
        gate, up = self.gate_up(normed).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Model(nn.Module):
    """tokens [rows, length] -> logits [rows, length, vocab]; embedding and head are one matrix."""

    def __init__(self, config, max_length=None):
        super().__init__()
        if not config.get("tie_word_embeddings"):
            raise ValueError("only models whose embedding is their head")
        self.eps = config["rms_norm_eps"]
        self.embedding = nn.Embedding(config["vocab_size"], config["hidden_size"])
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = nn.Parameter(torch.ones(config["hidden_size"]))
        self.grouped = config["num_attention_heads"] != config["num_key_value_heads"]
        cos, sin = rotary_tables(config, max_length or config["max_position_embeddings"])
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def forward(self, tokens):
        def attend(q, k, v):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.grouped)

        x = self.embedding(tokens)
        cos, sin = (table[: tokens.shape[1]].to(x.dtype) for table in (self.cos, self.sin))
        for layer in self.layers:
            x = layer(x, cos, sin, attend)
        return self.logits(x)

    def logits(self, x):
        return F.linear(F.rms_norm(x, (x.shape[-1],), self.norm.to(x.dtype), self.eps), self.embedding.weight)
