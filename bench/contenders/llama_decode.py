"""llama.cpp as a contender: all sequences decoded as one batch, sampled at temperature 1 by numpy over the whole batch."""

import os
import tempfile
from pathlib import Path

from protocol import NotRun, answer, timed_runs


class Decoder:
    def __init__(self, llama, numpy, case, path):
        self.llama, self.numpy, self.vocab = llama, numpy, case["config"]["vocab_size"]
        sizes = case["sizes"]
        self.prompts, self.prompt_length = sizes["prompts"], sizes["prompt_length"]
        self.completion_length = sizes["completion_length"]
        model_params = llama.llama_model_default_params()
        self.model = llama.llama_model_load_from_file(str(path).encode(), model_params)
        if not self.model:
            raise RuntimeError("llama.cpp does not load the model")
        params = llama.llama_context_default_params()
        params.n_ctx = self.prompts * (self.prompt_length + self.completion_length)
        params.n_batch = self.prompts * self.prompt_length
        params.n_ubatch = min(512, params.n_batch)
        params.n_seq_max = self.prompts
        params.n_threads = params.n_threads_batch = case["threads"]
        # Which of these is quicker depends on the model: the comparison tries both ways.
        if "LLAMA_FLASH_ATTENTION" in os.environ:
            params.flash_attn_type = int(os.environ["LLAMA_FLASH_ATTENTION"])
        params.kv_unified = os.environ.get("LLAMA_UNIFIED_CACHE") == "1"
        self.context = llama.llama_init_from_model(self.model, params)
        if not self.context:
            raise NotRun(f"llama.cpp makes no context for {self.prompts} sequences")
        self.batches = {}
        self.generator = numpy.random.default_rng(1)

    def make_batch(self, length):
        """A batch of `length` tokens of each sequence; tokens and positions are filled in later, through arrays over its memory."""
        count = self.prompts * length
        batch = self.llama.llama_batch_init(count, 0, 1)
        batch.n_tokens = count
        for at in range(count):
            batch.n_seq_id[at] = 1
            batch.seq_id[at][0] = at // length
            batch.logits[at] = (at + 1) % length == 0
        as_array = self.numpy.ctypeslib.as_array
        return batch, as_array(batch.token, (count,)), as_array(batch.pos, (count,))

    def decode(self, tokens, position):
        """tokens [prompts, length] at positions from `position` on; the logits of each sequence's last one."""
        length = tokens.shape[1]
        if length not in self.batches:
            self.batches[length] = self.make_batch(length)
        batch, batch_tokens, batch_positions = self.batches[length]
        batch_tokens[:] = tokens.reshape(-1)
        batch_positions[:] = self.numpy.tile(self.numpy.arange(position, position + length), self.prompts)
        if self.llama.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        logits = self.llama.llama_get_logits(self.context)
        return self.numpy.ctypeslib.as_array(logits, (self.prompts, self.vocab))

    def sample(self, logits):
        """The largest of logits + Gumbel noise is a sample of their softmax."""
        noise = -self.numpy.log(self.generator.standard_exponential(logits.shape, dtype=self.numpy.float32))
        return (logits + noise).argmax(1)[:, None]

    def run(self, prompts):
        self.llama.llama_memory_clear(self.llama.llama_get_memory(self.context), False)
        tokens = self.sample(self.decode(prompts, 0))
        for step in range(1, self.completion_length):
            tokens = self.sample(self.decode(tokens, self.prompt_length + step - 1))


def measure(case):
    if case["kind"] != "generate":
        raise NotRun(f"only generation, not {case['kind']}")
    try:
        import llama_cpp as llama
        import numpy

        from gguf_model import write_model
    except ImportError as why:
        raise NotRun(f"{why} (bash bench/contenders/prepare-llama-cpp.sh builds it)") from None
    silent = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(silent, None)
    llama.llama_backend_init()
    with tempfile.TemporaryDirectory(prefix="coppice-gguf-") as folder:
        path = Path(folder) / "model.gguf"
        write_model(path, case["config"], case["dtype"])
        decoder = Decoder(llama, numpy, case, path)
        prompts = numpy.random.default_rng(2).integers(0, decoder.vocab, (decoder.prompts, decoder.prompt_length))
        seconds = timed_runs(lambda: decoder.run(prompts), case["seconds"])
    return {"seconds": seconds, "versions": {"llama-cpp-python": llama.__version__}}


if __name__ == "__main__":
    answer("llama.cpp", measure)
