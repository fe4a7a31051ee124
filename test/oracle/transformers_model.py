"""The same questions asked of transformers' own models, in float64: what the oracle itself is checked against."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM


def norm_in_float64(module, x):
    """The RMSNorm of transformers goes through float32 whatever its input: 1e-7 of noise in a float64 model."""
    return module.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + module.variance_epsilon))


def random_model(config_fields, seed, loudness=1.0):
    """A model of AutoConfig fields whose parameters are large enough that every part of it matters to the result. `loudness`
    is a factor of all logits."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(**config_fields)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
            elif name.endswith("bias"):
                parameter.copy_(0.5 * torch.randn_like(parameter))
            elif "embed_tokens" in name:
                parameter.copy_(torch.randn_like(parameter) * (2 * parameter.shape[1] ** -0.5 if config.tie_word_embeddings else 1))
            else:
                parameter.copy_(torch.randn_like(parameter) * 1.5 * parameter.shape[1] ** -0.5)
        model.model.norm.weight.mul_(loudness)
    return model


def in_float64(model):
    """The model in float64 throughout, on the attention implementation that does not fall back to float32."""
    model = model.to(torch.float64).eval()
    model.set_attn_implementation("sdpa")
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = norm_in_float64.__get__((module), type(module))
    return model


def load(folder):
    return in_float64(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32))


def logits_of(model):
    return lambda tokens: model(torch.tensor([tokens])).logits[0]


def parameters_of(model):
    return dict(model.named_parameters())
