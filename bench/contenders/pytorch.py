"""PyTorch as a contender: products, the log-prob head, a training step, a generation; on the processor or, where a case says so, on CUDA."""

import os

from protocol import NotRun, answer, device_of, timed_runs, use_device, waited_for

EAGER, COMPILED = "eager", "compiled"


def random(torch, *shape):
    return torch.rand(*shape) * 2 - 1


def product(torch, case, dtype):
    import torch.nn.functional as F

    rows, cols, inner = (case["sizes"][name] for name in ("rows", "cols", "inner"))
    inp, weight, dout = (random(torch, *shape).to(dtype) for shape in ((rows, inner), (cols, inner), (rows, cols)))
    dinp, dweight = torch.empty_like(inp), torch.empty_like(weight)
    products = {
        "linear": lambda: F.linear(inp, weight),
        "linear_backward_input": lambda: torch.mm(dout, weight, out=dinp),
        "linear_backward_weight": lambda: torch.mm(dout.t(), inp, out=dweight),
    }
    if case["op"] not in products:
        raise NotRun(f"no counterpart of {case['op']}")
    with torch.no_grad():
        return timed_runs(waited_for(torch, case, products[case["op"]]), case["seconds"], warmup=3)


def head(torch, case, dtype):
    """-log softmax at the targets and both gradients: all rows at once, 256 at a time, which holds fewer logits, or by Liger's fused loss."""
    import torch.nn.functional as F

    rows, vocab, cols = (case["sizes"][name] for name in ("rows", "vocab", "cols"))
    hidden, weight = (random(torch, *shape).to(dtype).requires_grad_() for shape in ((rows, cols), (vocab, cols)))
    targets = torch.arange(rows) * 7919 % vocab
    if case["variant"] == "liger":
        from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

        fused = LigerFusedLinearCrossEntropyLoss(reduction="sum")

        def run_fused():
            hidden.grad = weight.grad = None
            fused(weight, hidden, targets).backward()

        return timed_runs(waited_for(torch, case, run_fused), case["seconds"])
    chunk = rows if case["variant"] == "all rows" else 256

    def run():
        hidden.grad = weight.grad = None
        for begin in range(0, rows, chunk):
            logits = F.linear(hidden[begin : begin + chunk], weight)
            F.cross_entropy(logits.float(), targets[begin : begin + chunk], reduction="sum").backward()

    return timed_runs(waited_for(torch, case, run), case["seconds"])


def step(torch, case, dtype):
    """One step of maximum likelihood with fused AdamW over fp32 parameters; bf16 by autocast. No clip of the gradient norm."""
    import torch.nn.functional as F

    from torch_model import Model

    rows, length, vocab = case["sizes"]["rows"], case["sizes"]["length"], case["config"]["vocab_size"]
    model = Model(case["config"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    tokens = torch.randint(vocab, (rows, length + 1))
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].reshape(-1)

    def loss_of(inputs, targets):
        return F.cross_entropy(model(inputs).reshape(-1, vocab).float(), targets)

    if case["variant"] == COMPILED:
        loss_of = torch.compile(loss_of, fullgraph=True)

    def run():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device_of(case), dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = loss_of(inputs, targets)
        loss.backward()
        optimizer.step()

    return timed_runs(waited_for(torch, case, run), case["seconds"], warmup=2)


def generate(torch, case, dtype):
    """A loop of our own over a static cache: what PyTorch can do where nothing else is in the way."""
    from torch_generation import Generation

    sizes = case["sizes"]
    generation = Generation(case["config"], sizes, dtype, compiled=case["variant"] == COMPILED)
    prompts = torch.randint(case["config"]["vocab_size"], (sizes["prompts"], sizes["prompt_length"]))
    with torch.inference_mode():
        return timed_runs(waited_for(torch, case, lambda: generation.run(prompts)), case["seconds"])


KINDS = {"op": product, "head": head, "step": step, "generate": generate}


def measure(case):
    import torch

    torch.set_num_threads(case["threads"])
    use_device(torch, case)
    torch.manual_seed(0)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[case["dtype"]]
    seconds = KINDS[case["kind"]](torch, case, dtype)
    if torch.get_num_threads() != case["threads"]:
        raise NotRun(f"torch has {torch.get_num_threads()} threads, not {case['threads']} ({os.environ.get('OMP_NUM_THREADS')})")
    return {"seconds": seconds, "versions": {"torch": torch.__version__}}


if __name__ == "__main__":
    answer("pytorch", measure)
