"""transformers as a contender: `generate` with its static cache, as it is and compiled."""

import os

from protocol import NotRun, answer, timed_runs, use_device, waited_for

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")


def measure(case):
    import torch
    import transformers

    if case["kind"] != "generate":
        raise NotRun(f"only generation, not {case['kind']}")
    torch.set_num_threads(case["threads"])
    use_device(torch, case)
    torch.manual_seed(0)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[case["dtype"]]
    config = transformers.AutoConfig.for_model(**case["config"])
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    sizes = case["sizes"]
    prompts = torch.randint(config.vocab_size, (sizes["prompts"], sizes["prompt_length"]))
    compiled = case["variant"] == "static cache, compiled"
    options = {}
    if compiled:
        options["compile_config"] = transformers.generation.CompileConfig()
        # Off a GPU transformers compiles only where this is set, as in its own tests.
        options["compile_config"]._compile_all_devices = True
    generation = transformers.GenerationConfig(
        do_sample=True, top_k=0, top_p=1.0, temperature=1.0, eos_token_id=None, pad_token_id=0, disable_compile=not compiled,
        cache_implementation="static", min_new_tokens=sizes["completion_length"], max_new_tokens=sizes["completion_length"], **options,
    )

    def run():
        # The length to reach is said once, by the configuration: it holds for every sequence, as none can stop.
        rows = model.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=generation)
        if rows.shape[1] != sizes["prompt_length"] + sizes["completion_length"]:
            raise RuntimeError(f"generate gave rows of {rows.shape[1]} tokens")

    with torch.inference_mode():
        seconds = timed_runs(waited_for(torch, case, run), case["seconds"])
    return {"seconds": seconds, "versions": {"transformers": transformers.__version__, "torch": torch.__version__}}


if __name__ == "__main__":
    answer("transformers", measure)
