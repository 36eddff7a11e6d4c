"""vLLM called directly, in a process of its own: the baseline of `sampling`.

python -m benchmarks.offline [arguments of the rollout server]
Requests: {"prompts": [[tokens]], "seeds": [...], "sampling": [max_new_tokens, temperature, n]}
Answers: {"seconds": ..., "tokens": ...}
"""

import sys
import time
from typing import Any

from vllm import LLM, SamplingParams
from vllm.engine.arg_utils import EngineArgs
from vllm.entrypoints.openai.cli_args import make_arg_parser
from vllm.inputs import TokensPrompt
from vllm.utils.argparse_utils import FlexibleArgumentParser

from benchmarks.harness import answer_requests
from rl.engine import Sampling, _parameters


def main() -> None:
    # The very arguments that the rollout server was started with, so that nothing differs.
    parsed = make_arg_parser(FlexibleArgumentParser()).parse_args(sys.argv[1:])
    engine = LLM.from_engine_args(EngineArgs.from_cli_args(parsed))

    def sample(request: dict[str, Any]) -> dict[str, float]:
        sampling = Sampling(*request["sampling"])
        prompts = [TokensPrompt(prompt_token_ids=tokens) for tokens in request["prompts"]]
        parameters = [SamplingParams(**_parameters(sampling, seed)) for seed in request["seeds"]]
        begin = time.perf_counter()
        outputs = engine.generate(prompts, parameters, use_tqdm=False)
        seconds = time.perf_counter() - begin
        tokens = sum(len(answer.token_ids) for output in outputs for answer in output.outputs)
        return {"seconds": seconds, "tokens": tokens}

    answer_requests(sample)


if __name__ == "__main__":
    main()
