"""Math-Verify in a Python environment of its own, for benchmarks/math_answers.py.

Reads one JSON list of [gold, response] per line, answers one JSON list of [accepted, seconds] each,
on the descriptor that the environment variable names. Imports nothing of this project.
"""

import json
import logging
import os
import sys
import time


def main() -> None:
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)  # it logs every answer that it cannot read
    with os.fdopen(int(os.environ["BENCHMARK_ANSWERS_FD"]), "w") as out:
        for line in sys.stdin:
            answers = []
            for gold, response in json.loads(line):
                begin = time.process_time()
                try:
                    accepted = bool(verify(parse(delimited(gold)), parse(response)))
                except Exception:  # whatever it raises is a refusal, as it is in its own use
                    accepted = False
                answers.append([accepted, time.process_time() - begin])
            out.write(json.dumps(answers) + "\n")
            out.flush()


def delimited(gold: str) -> str:
    """A reference answer in dollars, as Math-Verify's documentation asks for."""
    return gold if "$" in gold or "\\boxed" in gold else f"${gold}$"


if __name__ == "__main__":
    main()
