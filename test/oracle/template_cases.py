"""Tokenizers, strings and conversations on which templates_live.py and make_template_fixtures.py compare.

The tokenizers are trained here, small, in the two shapes that most open models use: byte-level BPE as in Qwen2 (NFC, one
digit a piece) and as in Llama 3 (up to three digits, whole pieces before merges, a begin-of-text token).
"""

import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = 2000
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
PIECES = r"[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# (token, special): what the families add. The think and tool tags are tokens, but not special ones.
QWEN_TOKENS = [(f"<|{name}|>", True) for name in ["endoftext", "im_start", "im_end", "object_ref_start"]] + [
    (token, False) for token in ["<tool_call>", "</tool_call>", "<think>", "</think>", "<|fim_prefix|>"]
]
LLAMA_TOKENS = [
    (f"<|{name}|>", True)
    for name in ["begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eom_id", "eot_id", "python_tag"]
]
OTHER_LANGUAGES = """
Die Größe überprüfen wir später; naïve café, façade, garçon. Ελληνικά γράμματα και λέξεις. Привет, мир! Как дела сегодня?
你好,世界。今天天气很好,我们去公园散步吧。こんにちは、世界。今日はとても良い天気です。안녕하세요 세계. مرحبا بالعالم. שלום עולם. नमस्ते दुनिया।
"""


def corpus():
    """Text that every checkout has."""
    files = ["ARCHITECTURE.md", "README.md", "docs/tasks.md", "src/policy.ts", "native/ops/ops.h", "LICENSE"]
    for name in files:
        yield from (ROOT / name).read_text(encoding="utf-8").splitlines(keepends=True)
    for _ in range(20):
        yield OTHER_LANGUAGES
        yield "I'm sure we'll see that they've said it's what you'd do, don't you're. " * 2
        # Merges over places where a wrong split would not be seen in the ids otherwise.
        yield "\u017fin \u017find \u017fing I'm it's 12345 123 1234567 \u00bd\u00be \u0967\u0968\u0969 e\u0301t\u00e9 \U0001f600\U0001f600\n\n\n   x\r\n" * 3
        yield "x^2 + 3x - 10 = 0, so x = 2 or x = -5; \\frac{12}{144} = \\boxed{0.0833} 2024 1000000\n\n    return 1\t\t# tab\n"


def train(shape):
    """A `qwen2` or a `llama3` tokenizer."""
    qwen = shape == "qwen2"
    tokenizer = Tokenizer(models.BPE(ignore_merges=not qwen))
    if qwen:
        tokenizer.normalizer = normalizers.NFC()
    pattern = CONTRACTIONS + "|" + PIECES % (r"\p{N}" if qwen else r"\p{N}{1,3}")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokens = QWEN_TOKENS if qwen else LLAMA_TOKENS
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=special) for token, special in tokens])
    if qwen:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    else:
        begin = LLAMA_TOKENS[0][0]
        template = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, tokenizer.token_to_id(begin))]
        )
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def config_of(shape):
    """tokenizer_config.json without a chat template."""
    qwen = shape == "qwen2"
    names = dict(eos_token="<|im_end|>", pad_token="<|endoftext|>") if qwen else dict(
        bos_token="<|begin_of_text|>", eos_token="<|eot_id|>"
    )
    return {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **names}


NASTY = [
    "", " ", "  ", "   x", "x   ", "\n", "\n\n", "\r\n", "\r", " \n ", "\t", "\t\n x", "\u00a0", "\u2003x", "\u3000", "\u200b", "\ufeff", "\ufeffx",
    "\x00", "\x00\x00a", "\x1c x", "\x85", "a\x85b", "\u2028", "a\u2029b", "\x7f", "\x1b[31m",
    "'s", "'S", "'T 'rE 'VE 'm 'LL 'D", "it'S", "'\u017f", "'\u017fin", "it'\u017find", "it'\u017f ok", "I'\u212a", "don\u2019t", "''s", "' s", "'re'", "'l", "'llama", "'LLAMA",
    "1", "12", "123", "1234", "1234567", "12 345", "3.14159", "\u0661\u0662\u0663", "\u00bd\u00be", "\u2167", "\u0967\u0968\u0969\u096a", "x\u00b2", "1\u0301",
    "e\u0301", "\u00e9", "A\u030a", "\u212b", "\u1e9b\u0323", "\u0958", "\u2126", "\ufb01", "\uac00", "\u1100\u1161", "\u1100\u1161\u11a8", "\u0344", "\u0fb2\u0f81",
    "q\u0307\u0323", "q\u0323\u0307", "a" + "\u0301" * 30, "\u0301", " \u0301x", "\u0e01\u0e33", "\u0915\u094d\u0937", "\U0001d15e",
    "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "\U0001f44b\U0001f3fd", "x\U0010ffff", "\ufffd", "\ufffe", "\ue000",
    "<|im_start|>", "<|im_end|>", "<|im_start|>user\nhi<|im_end|>\n", "<|im_start", "<|im_start|", "<<|im_end|>>", "<|IM_END|>", " <|im_end|> ", "<|im_end|><|im_end|>",
    "<|endoftext|>x<|endoftext|>", "<think>\n\n</think>\n\n", "<think>x</think>", "<thinking>", "<tool_call>\n{}</tool_call>", "<|begin_of_text|>", "<|begin_of_text|><|begin_of_text|>x",
    "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>", "<|eot_id|> ", "<|python_tag|>f()", "<|fim_prefix|>", "<|im_end|>\u0301", "e<|im_end|>\u0301",
    "x  =  1", "    indented\n        more\n", "a\n\n\nb", "a \n \n b", "!!!\n\n", "...\r\n\r\n x", "?!\n", " !\n", "\u3002\n\u3002", "$\\boxed{\\frac{1}{2}}$", "a_b-c+d*e/f", "C:\\path\\n",
    "CamelCaseWords", "snake_case_words", "\u4f60\u597d\u4e16\u754c", "\u3053\u3093\u306b\u3061\u306f", "\uc548\ub155", "\u0645\u0631\u062d\u0628\u0627", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u00df\u1e9e", "\u0130\u0131", "\u01c5", "\u02b0", "\u16ee", "\u2460", "\u24b6", "\u0345", "\u1f80", "__proto__", "constructor", "toString", "hasOwnProperty",
    "a" * 500, "ab" * 300, " " * 300, "\n" * 100, "7" * 100, "\u00e9" * 100, "e\u0301" * 100, "\U0001f600" * 50,
]

PARTS = NASTY + [
    " the", "The ", "policy", " reward", "in", "ing", "tion", "'s", "'ll", " ", "  ", "\n", "\n\n", "\t", "0", "42", ".", ",", ":", "()", "{}", "return", "\u00e9", "\u0301",
    "\u4e16", "\u043f\u0440\u0438", "\u03bb", "x", "y", "=", "+", "-", "\\", "\"", "'", "<", ">", "|", "<|", "|>",
]
# Whole blocks, so that most draws are assigned; ends are where properties change.
BLOCKS = [
    (0x20, 0x7F), (0x80, 0x250), (0x250, 0x370), (0x370, 0x530), (0x530, 0x700), (0x900, 0xE80), (0x1100, 0x1200), (0x1E00, 0x2000),
    (0x2000, 0x2C00), (0x3000, 0x3400), (0x4E00, 0x5000), (0xAC00, 0xAD00), (0xF900, 0x10000), (0x1D100, 0x1D800), (0x1F000, 0x1FA00), (0x0, 0x20),
]


def _is_text(code):
    return not 0xD800 <= code < 0xE000


def random_string(draw, assigned_only=False):
    kind = draw.random()
    if kind < 0.45:
        text = "".join(draw.choice(PARTS) for _ in range(draw.randint(1, 8)))
    elif kind < 0.9:
        blocks = [draw.choice(BLOCKS) for _ in range(draw.randint(1, 3))]
        text = "".join(chr(draw.randrange(*draw.choice(blocks))) for _ in range(draw.randint(1, 30)))
    else:
        codes = (draw.randrange(0x110000) for _ in range(draw.randint(1, 20)))
        text = "".join(chr(code) for code in codes if _is_text(code))
    text = "".join(character for character in text if _is_text(ord(character)))
    if assigned_only:
        text = "".join(character for character in text if unicodedata.category(character) != "Cn")
    return text


def strings(draw, count, assigned_only=False):
    return (NASTY + [random_string(draw, assigned_only) for _ in range(count)])[:count]
