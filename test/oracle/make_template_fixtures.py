"""Writes fixtures/templates/: two small tokenizers with ids of a few hundred strings, and a few dozen conversations.

    python make_template_fixtures.py
"""

import json
import random

from template_cases import config_of, strings
from template_conversations import case
from template_reference import SHAPES, TEMPLATES, encoded, make_tokenizers, rendered, source_of

STRINGS = 300
CONVERSATIONS = {"qwen2.5": 10, "qwen3": 12, "llama-3.1": 10, "operations": 6}


def write_lines(path, values):
    lines = (json.dumps(value, separators=(",", ":")) + "\n" for value in values)
    path.write_text("".join(lines), encoding="utf-8")


def main():
    draw = random.Random(20260305)
    tokenizers = make_tokenizers()
    for shape, (tokenizer, _) in tokenizers.items():
        folder = TEMPLATES / shape
        folder.mkdir(exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        template = {"qwen2": "qwen3", "llama3": "llama-3.1"}[shape]
        write_lines(folder / "tokenizer_config.json", [{**config_of(shape), "chat_template": source_of(template)}])
        texts = strings(draw, STRINGS, assigned_only=True)
        write_lines(folder / "ids.jsonl", (encoded(tokenizer, text) for text in texts))
    cases = (rendered(name, case(draw), tokenizers) for name in SHAPES for _ in range(CONVERSATIONS[name]))
    write_lines(TEMPLATES / "conversations.jsonl", cases)


main()
