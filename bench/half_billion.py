"""What half-billion.ts does, in PyTorch and transformers: half_billion.py sample|train MODEL prints one JSON object."""

import json
import os
import resource
import sys
import time

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")

import torch
import transformers

PROMPTS, PROMPT_LENGTH, GENERATIONS, COMPLETION_LENGTH = 4, 128, 4, 32
ROWS_A_MICRO_BATCH = 4


def timed(figures, name, work):
    start = time.perf_counter()
    result = work()
    figures[name] = time.perf_counter() - start
    return result


def generate(model):
    prompts = [[(7919 * (i + 1) + 104_729 * t) % 150_000 for t in range(PROMPT_LENGTH)] for i in range(PROMPTS)]
    tokens = torch.tensor(prompts)
    return model.generate(
        tokens, attention_mask=torch.ones_like(tokens), do_sample=True, top_k=0, top_p=1.0, temperature=1.0, eos_token_id=None,
        pad_token_id=0, num_return_sequences=GENERATIONS, min_new_tokens=COMPLETION_LENGTH, max_new_tokens=COMPLETION_LENGTH,
    )


def step(model, rows):
    """REINFORCE with token weights and AdamW on fp32 masters, in micro-batches."""
    model.train()
    masters = [parameter.detach().float() for parameter in model.parameters()]
    optimizer = torch.optim.AdamW(masters, lr=1e-6)
    for master in masters:
        master.grad = torch.zeros_like(master)
    weights = torch.tensor([0.1 if row % 2 == 0 else -1.0 for row in range(len(rows))]) / (len(rows) * COMPLETION_LENGTH)
    for begin in range(0, len(rows), ROWS_A_MICRO_BATCH):
        some = rows[begin : begin + ROWS_A_MICRO_BATCH]
        logits = model(some, logits_to_keep=COMPLETION_LENGTH + 1).logits[:, :-1].float()
        lp = torch.log_softmax(logits, -1).gather(-1, some[:, -COMPLETION_LENGTH:, None])[..., 0]
        (-(weights[begin : begin + len(some), None] * lp).sum()).backward()
        for master, parameter in zip(masters, model.parameters()):
            master.grad += parameter.grad.float()
            parameter.grad = None
    torch.nn.utils.clip_grad_norm_(masters, 1.0)
    optimizer.step()
    with torch.no_grad():
        for master, parameter in zip(masters, model.parameters()):
            parameter.copy_(master)


def main(phase, folder):
    figures = {}
    torch.manual_seed(0)
    load = lambda: transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    model = timed(figures, "load", load)
    with torch.no_grad():
        rows = timed(figures, "generate", lambda: generate(model))
    figures["tokens_per_second"] = rows.shape[0] * COMPLETION_LENGTH / figures["generate"]
    if phase == "train":
        timed(figures, "step", lambda: step(model, rows))
    figures["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figures["threads"] = torch.get_num_threads()
    print(json.dumps(figures))


main(*sys.argv[1:])
