"""A model with random parameters as a GGUF file, from a Hugging Face config."""

import gguf
import numpy

ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2"}
FILE_TYPES = {"f32": gguf.GGMLQuantizationType.F32, "bf16": gguf.GGMLQuantizationType.BF16}


def write_model(path, config, dtype):
    hidden, ffn, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    kv_heads, layers, vocab = config["num_key_value_heads"], config["num_hidden_layers"], config["vocab_size"]
    head_dim = config.get("head_dim") or hidden // heads
    writer = gguf.GGUFWriter(path, ARCHITECTURES[config["model_type"]])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(ffn)
    writer.add_block_count(layers)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(float(config.get("rope_theta") or 10_000))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(vocab)
    writer.add_tokenizer_model("no_vocab")
    generator = numpy.random.default_rng(1)

    def matrix(name, rows, cols):
        values = generator.standard_normal((rows, cols), dtype=numpy.float32) * 0.02
        kind = FILE_TYPES[dtype]
        writer.add_tensor(f"{name}.weight", values if dtype == "f32" else gguf.quants.quantize(values, kind), raw_dtype=kind)

    def vector(name, size, value):
        writer.add_tensor(name, numpy.full(size, value, numpy.float32))

    # Without a matrix of its own the head is the embedding.
    matrix("token_embd", vocab, hidden)
    vector("output_norm.weight", hidden, 1)
    for layer in range(layers):
        prefix = f"blk.{layer}"
        for part, rows in (("attn_q", heads * head_dim), ("attn_k", kv_heads * head_dim), ("attn_v", kv_heads * head_dim)):
            matrix(f"{prefix}.{part}", rows, hidden)
            if config["model_type"] == "qwen2":
                vector(f"{prefix}.{part}.bias", rows, 0)
        matrix(f"{prefix}.attn_output", hidden, heads * head_dim)
        matrix(f"{prefix}.ffn_gate", ffn, hidden)
        matrix(f"{prefix}.ffn_up", ffn, hidden)
        matrix(f"{prefix}.ffn_down", hidden, ffn)
        vector(f"{prefix}.attn_norm.weight", hidden, 1)
        vector(f"{prefix}.ffn_norm.weight", hidden, 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
