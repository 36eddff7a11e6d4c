"""Math-Verify in a Python environment of its own, for benchmarks/verifiers_math.py.

Reads one JSON list of [gold, response] per line, answers one JSON list of [accepted, seconds] each.
Imports nothing of this project: run it with an interpreter that has math-verify installed.
"""

import json
import logging
import sys
import time


def main() -> None:
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)  # it logs every answer that it cannot read
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        answers = []
        for gold, response in json.loads(line):
            begin = time.process_time()
            try:
                accepted = bool(verify(parse(delimited(gold)), parse(response)))
            except Exception:  # whatever it raises is a refusal, as it is in its own use
                accepted = False
            answers.append([accepted, time.process_time() - begin])
        print(json.dumps(answers), flush=True)


def delimited(gold: str) -> str:
    """A reference answer in dollars, as Math-Verify's documentation asks for."""
    return gold if "$" in gold or "\\boxed" in gold else f"${gold}$"


if __name__ == "__main__":
    main()
