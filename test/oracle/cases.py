"""The shapes and rollouts on which the engine is compared: odd on purpose."""

import torch

COMMON = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}

# Key blocks hold 64 positions: prompts that end just before, at and behind a block's end, and completions that cross one.
PROMPT_LENGTHS = [1, 63, 64, 65, 127]

CONFIGS = {
    # Biases on q, k, v; three query heads to a key head; head tied; a vocabulary of more than one block of 1024, and no
    # multiple of anything.
    "qwen2-tied": dict(
        model_type="qwen2", vocab_size=1061, hidden_size=24, intermediate_size=52, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=2, head_dim=8, max_position_embeddings=256,
        tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, **COMMON,
    ),
    # q and k norms; head_dim is not hidden / heads; two query heads to a key head; three layers.
    "qwen3-untied": dict(
        model_type="qwen3", vocab_size=77, hidden_size=42, intermediate_size=50, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, head_dim=24, max_position_embeddings=256,
        tie_word_embeddings=False, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, **COMMON,
    ),
    # Seven query heads to one key head; scaled angles, most positions behind original_max_position_embeddings; odd width.
    "llama-llama3": dict(
        model_type="llama", vocab_size=50, hidden_size=63, intermediate_size=45, num_hidden_layers=2,
        num_attention_heads=7, num_key_value_heads=1, head_dim=16, max_position_embeddings=512,
        tie_word_embeddings=False,
        rope_parameters={
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
        }, **COMMON,
    ),
    # A window that ends inside a key block and reaches over the end of one; two query heads to a key head.
    "mistral-window": dict(
        model_type="mistral", vocab_size=71, hidden_size=40, intermediate_size=56, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=256, sliding_window=40,
        tie_word_embeddings=False, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, **COMMON,
    ),
}


def random_rows(vocab_size, seed, prompt_lengths=PROMPT_LENGTHS, longest_completion=70):
    """Rollout rows in groups that share a prompt, ragged, with token weights of both signs and three temperatures."""
    generator = torch.Generator().manual_seed(seed)

    def whole(low, high):
        return int(torch.randint(low, high + 1, (1,), generator=generator))

    def tokens(count):
        return torch.randint(0, vocab_size, (count,), generator=generator).tolist()

    rows = []
    for group, length in enumerate(prompt_lengths):
        prompt = tokens(length)
        for sample in range(1 + group % 4):
            # Squared, so that most are short; the first one of all has a single token, one is as long as can be.
            u = torch.rand(1, generator=generator).item()
            count = longest_completion if group == 2 and sample == 0 else 1 + int(u * u * longest_completion * (group > 0))
            weights = torch.randn(count, generator=generator, dtype=torch.float64).round(decimals=4).tolist()
            rows.append({
                "group_id": group,
                "sample_index": sample,
                "prompt_tokens": prompt,
                "completion_tokens": tokens(count),
                "temperature": [0.7, 1.0, 1.3][whole(0, 2)],
                # A row's constant may stand for all its tokens.
                "token_weights": weights[0] if group == 1 and sample == 0 else weights,
            })
    return rows


OPTIMIZER_CONFIG = dict(
    model_type="qwen3", vocab_size=37, hidden_size=32, intermediate_size=40, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=64, tie_word_embeddings=True,
    rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, **COMMON,
)

OPTIMIZER_SETTINGS = {
    # The policy gradient itself, with a global norm that is clipped and a decay that shows.
    "plain": dict(
        importance="none", clip=0.0, kl_coef=0.0, entropy_coef=0.0,
        learning_rate=1e-3, weight_decay=0.1, max_grad_norm=0.1,
    ),
    # Everything at once: ratio, clip, KL against a reference, entropy bonus.
    "clipped": dict(
        importance="token", clip=0.2, kl_coef=0.05, entropy_coef=0.01,
        learning_rate=5e-4, weight_decay=0.01, max_grad_norm=1.0,
    ),
}
