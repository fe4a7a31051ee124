"""What math-verify says of labelled pairs: python math_verify_verdicts.py PAIRS.jsonl... prints a JSON line for each pair,
{id, right, ms}, and one with its version before them.

Called as its documentation says: reference and response are parsed each by itself, the reference goes first. LaTeX has to stand
in a math environment, so references, and responses that are a bare line, are put into one. Of the settings that are
documented, those that made the fewest errors on the tuning pairs.
"""

import json
import logging
import re
import sys
import time
from importlib.metadata import version

from math_verify import ExprExtractionConfig, LatexExtractionConfig, StringExtractionConfig, parse, verify

FORMULAS = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
CHOICES = [*FORMULAS, StringExtractionConfig(strings=tuple("ABCDEFGHIJ"))]
ENVIRONMENTS = re.compile(r"\n|\$|\\boxed|\\fbox|\\\(|\\\[|answer", re.IGNORECASE)


def is_right(reference, response):
    is_choice = re.fullmatch(r"\(?[A-J]\)?", reference.strip()) is not None
    config = CHOICES if is_choice else FORMULAS
    text = response if ENVIRONMENTS.search(response) else f"${response}$"
    gold = parse(f"${reference}$", extraction_config=config)
    return verify(gold, parse(text, extraction_config=config))


def timed(pair):
    start = time.perf_counter()
    try:
        right = is_right(pair["reference"], pair["response"])
    except Exception as error:
        right = False
        print(f"{pair['id']}: {error!r}", file=sys.stderr)
    return {"id": pair["id"], "right": bool(right), "ms": 1000 * (time.perf_counter() - start)}


def main():
    # It warns of every deadline that it keeps and of every text that it cannot read.
    logging.disable(logging.CRITICAL)
    pairs = [json.loads(line) for path in sys.argv[1:] for line in open(path, encoding="utf-8")]
    for pair in pairs[:50]:
        timed(pair)
    print(json.dumps({"version": version("math-verify")}))
    for pair in pairs:
        print(json.dumps(timed(pair)))


main()
