"""Templates and tokenizers against transformers and the Rust tokenizers, over many random conversations and strings.

    python templates_live.py [--seed S] [--conversations N] [--strings N] [--node "node --import tsx"]

Writes what the references give to a folder; templates_live.ts renders and encodes the same and says where it differs.
"""

import argparse
import json
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from template_cases import config_of, strings
from template_conversations import case
from template_reference import SHAPES, encoded, make_tokenizers, rendered

ROOT = Path(__file__).resolve().parents[2]


def write_lines(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--conversations", type=int, default=1000)
    parser.add_argument("--strings", type=int, default=10_000)
    parser.add_argument("--node", default="node --import tsx")
    arguments = parser.parse_args()
    print(f"templates: seed {arguments.seed}", flush=True)
    draw = random.Random(arguments.seed)
    tokenizers = make_tokenizers()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for shape, (tokenizer, _) in tokenizers.items():
            (folder / shape).mkdir()
            tokenizer.save(str(folder / shape / "tokenizer.json"))
            (folder / shape / "tokenizer_config.json").write_text(json.dumps(config_of(shape)), encoding="utf-8")
            write_lines(folder / shape / "ids.jsonl", (encoded(tokenizer, text) for text in strings(draw, arguments.strings)))
        cases = [rendered(name, case(draw), tokenizers) for name in SHAPES for _ in range(arguments.conversations)]
        write_lines(folder / "conversations.jsonl", cases)
        command = [*shlex.split(arguments.node), "test/oracle/templates_live.ts", str(folder)]
        sys.exit(subprocess.run(command, cwd=ROOT).returncode)


main()
