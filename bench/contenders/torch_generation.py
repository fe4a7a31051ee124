"""Sampling at temperature 1 with the model of torch_model.py and a static key/value cache; all sequences have one length."""

import torch
import torch.nn.functional as F

from torch_model import Model


class Generation:
    def __init__(self, config, sizes, dtype, compiled):
        self.length = sizes["prompt_length"] + sizes["completion_length"]
        self.completion_length = sizes["completion_length"]
        self.model = Model(config, self.length).to(dtype).eval()
        layer = self.model.layers[0]
        shape = (sizes["prompts"], layer.kv_heads, self.length, layer.head_dim)
        self.caches = [(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)) for _ in self.model.layers]
        self.compiled = compiled
        self.decode = self.decode_whole_cache if compiled else self.decode_seen_positions
        if compiled:
            import torch._inductor.config as inductor

            # The parameters do not change here, so that they may be packed once.
            inductor.freezing = True
            self.decode = torch.compile(self.decode, fullgraph=True)

    def forward(self, tokens, cos, sin, attend):
        """Logits of the last position [prompts, vocab]; `attend(layer, q, k, v)` also fills the cache."""
        x = self.model.embedding(tokens)
        for index, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, lambda q, k, v, index=index: attend(index, q, k, v))
        return self.model.logits(x[:, -1])

    def prefill(self, prompts):
        length = prompts.shape[1]

        def attend(index, q, k, v):
            keys, values = self.caches[index]
            keys[:, :, :length] = k
            values[:, :, :length] = v
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.model.grouped)

        return self.forward(prompts, self.model.cos[:length], self.model.sin[:length], attend)

    def decode_seen_positions(self, tokens, position):
        """Attends to what the cache holds so far, without a mask."""
        at = int(position)

        def attend(index, q, k, v):
            keys, values = self.caches[index]
            keys[:, :, at : at + 1] = k
            values[:, :, at : at + 1] = v
            seen = (cache[:, :, : at + 1] for cache in (keys, values))
            return F.scaled_dot_product_attention(q, *seen, enable_gqa=self.model.grouped)

        return self.sample(self.forward(tokens, self.model.cos[at : at + 1], self.model.sin[at : at + 1], attend))

    def decode_whole_cache(self, tokens, position):
        """Attends to the whole cache under a mask, which keeps every shape the same: one compiled graph does for all."""
        mask = torch.arange(self.length) <= position

        def attend(index, q, k, v):
            keys, values = self.caches[index]
            keys.index_copy_(2, position, k)
            values.index_copy_(2, position, v)
            return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask[None], enable_gqa=self.model.grouped)

        cos, sin = self.model.cos.index_select(0, position), self.model.sin.index_select(0, position)
        return self.sample(self.forward(tokens, cos, sin, attend))

    def sample(self, logits):
        """[prompts, 1]: the largest of p / noise with exponential noise is a sample of p, and quicker than multinomial."""
        probabilities = torch.softmax(logits.float(), -1)
        return (probabilities / torch.empty_like(probabilities).exponential_()).argmax(-1, keepdim=True)

    def run(self, prompts):
        tokens = [self.sample(self.prefill(prompts))]
        for step in range(1, self.completion_length):
            tokens.append(self.decode(tokens[-1], torch.tensor([prompts.shape[1] + step - 1])))
        return torch.cat(tokens, 1)
