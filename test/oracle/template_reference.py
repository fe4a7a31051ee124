"""transformers' own rendering and the Rust library's ids for the cases of template_conversations.py and template_cases.py."""

import datetime
import os
import unicodedata

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")

from pathlib import Path

from template_cases import config_of, train
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

TEMPLATES = Path(__file__).parent / "fixtures" / "templates"
# The tokenizer that each template is rendered and encoded with.
SHAPES = {"qwen2.5": "qwen2", "qwen3": "qwen2", "llama-3.1": "llama3", "operations": "llama3"}
NOW = datetime.datetime(2026, 3, 5, 7, 8, 9)


class _FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def source_of(name):
    return (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")


def make_tokenizers():
    """Shape -> (Rust tokenizer, the same as transformers wraps it)."""
    made = {}
    for shape in sorted(set(SHAPES.values())):
        tokenizer = train(shape)
        names = {key: value for key, value in config_of(shape).items() if key.endswith("_token")}
        made[shape] = tokenizer, PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    return made


def rendered(name, case, tokenizers):
    """The case with `text` and `ids`, or with `error` where transformers refuses it."""
    chat_template_utils.datetime = _FixedClock
    _, wrapped = tokenizers[SHAPES[name]]
    options = dict(case["options"])
    try:
        arguments = dict(chat_template=source_of(name), tokenize=False, **options, **case["variables"])
        text = wrapped.apply_chat_template(case["messages"], **arguments)
    except Exception as error:
        return {**case, "template": name, "error": f"{type(error).__name__}: {error}"}
    return {**case, "template": name, "text": text, "ids": wrapped(text, add_special_tokens=False)["input_ids"]}


def encoded(tokenizer, text):
    """[text, ids with the template of the tokenizer, ids without it, whether it has characters that a library may lack]."""
    is_young = any(unicodedata.category(character) == "Cn" for character in text)
    # The Rust library's NFC has tables of its own, older than Python's.
    if tokenizer.normalizer is not None:
        is_young = is_young or tokenizer.normalizer.normalize_str(text) != unicodedata.normalize("NFC", text)
    return [text, tokenizer.encode(text).ids, tokenizer.encode(text, add_special_tokens=False).ids, is_young]
