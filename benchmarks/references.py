"""Benchmarks with their own reference solutions as answers: all should be accepted.

python -m benchmarks.references --data DIR [NAME ...]

DIR holds gsm8k_test.jsonl, math500.jsonl, humaneval.jsonl and mbpp.jsonl, the first two with
columns `question`, `solution` and `gold`, the others with those of the data sets. A server that
answers with the solutions is evaluated by `assay eval`; after its table stand how many are
accepted, and every refusal with its reason.
"""

import argparse
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from envs.base import Env, Task
from envs.registry import make_env
from rl.cli import main as assay
from verifiers.verdict import Outcome

TIME_LIMIT_S = 120.0  # so that nothing fails because the machine is busy


class Reference(NamedTuple):
    file: str
    options: dict[str, Any]
    solution: str | None  # column; None: the environment knows it


REFERENCES = {
    "gsm8k": Reference("gsm8k_test.jsonl", {"answer_field": "solution"}, "solution"),
    "math_500": Reference(
        "math500.jsonl", {"question_field": "question", "answer_field": "gold"}, "solution"
    ),
    "humaneval": Reference("humaneval.jsonl", {"time_limit_s": TIME_LIMIT_S}, None),
    "mbpp": Reference("mbpp.jsonl", {"time_limit_s": TIME_LIMIT_S}, None),
}


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.references", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of JSON lines")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(REFERENCES)}")
    arguments = parser.parse_args()
    arguments.names = arguments.names or list(REFERENCES)
    if unknown := [name for name in arguments.names if name not in REFERENCES]:
        parser.error(f"no data set '{unknown[0]}': there are {', '.join(REFERENCES)}")
    found = [measure(name, arguments.data) for name in arguments.names]
    print("\n".join(found))


def measure(name: str, data: Path) -> str:
    """How many reference solutions are accepted, and a line for each that is not."""
    reference = REFERENCES[name]
    file = data / reference.file
    options = {"path": str(file), **reference.options}
    answers = _answers(make_env(name, options), file, reference.solution)
    asked = ",".join(f"{key}={value}" for key, value in options.items())
    with tempfile.TemporaryDirectory() as out, _server(answers) as url:
        code = assay(["eval", url, "--env", f"{name}:{asked}", "evaluation.samples=1",
                      f"run_dir={out}"])  # fmt: skip
        if code != 0:
            return f"{name}: not evaluated"
        [stored] = Path(out).glob("*/answers.jsonl")
        with stored.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
    refused = [
        f"  {row['verdict']['outcome']}: {row['verdict']['detail']} ({row['prompt'][:80]!r})"
        for row in rows
        if row["verdict"]["outcome"] != Outcome.CORRECT
    ]
    accepted = len(rows) - len(refused)
    return "\n".join([f"{name}: {accepted:,} of {len(rows):,} accepted", *refused])


def _answers(env: Env, file: Path, column: str | None) -> dict[str, str]:
    """The solution by what is asked."""
    tasks = [env.draw("test", 0, index) for index in range(env.n_tasks("test") or 0)]
    if column is None:
        return {_asked(task): env.solve(task) or "" for task in tasks}
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    by_question = {row["question"].strip(): row[column] for row in rows}
    return {_asked(t): by_question[_asked(t).rpartition("\n\n")[0].strip()] for t in tasks}


def _asked(task: Task) -> str:
    return task.messages[-1].content


@contextmanager
def _server(answers: Mapping[str, str]) -> Iterator[str]:
    """One that speaks as much of OpenAI's chat interface as it takes; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply({"data": [{"id": "solutions"}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = {"role": "assistant", "content": answers[asked["messages"][-1]["content"]]}
            choice = {"message": said, "finish_reason": "stop"}
            usage = {"prompt_tokens": 0, "completion_tokens": 0}  # nothing is sampled
            self._reply({"choices": [choice], "usage": usage})

        def _reply(self, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """What is asked is no news."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    main()
