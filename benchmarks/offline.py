"""vLLM called directly, in a process of its own: the baseline of `sampling`.

python -m benchmarks.offline [arguments of the rollout server]
Requests: {"prompts": [[tokens]], "seeds": [...], "max_tokens": ..., "temperature": ..., "n": ...}
Answers: tokens sampled
"""

import sys
from typing import Any

from vllm import LLM, SamplingParams
from vllm.engine.arg_utils import EngineArgs
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.inputs import TokensPrompt
from vllm.utils.argparse_utils import FlexibleArgumentParser

from benchmarks.harness import answer_requests


def main() -> None:
    # The very arguments that the rollout server was started with, so that nothing differs.
    parsed = make_arg_parser(FlexibleArgumentParser()).parse_args(sys.argv[1:])
    engine = LLM.from_engine_args(EngineArgs.from_cli_args(parsed))

    def sample(request: dict[str, Any]) -> int:
        prompts = [TokensPrompt(prompt_token_ids=tokens) for tokens in request["prompts"]]
        parameters = [
            SamplingParams(
                n=request["n"],
                seed=seed,
                temperature=request["temperature"],
                max_tokens=request["max_tokens"],
                logprobs=request.get("logprobs", 0),  # 0: of the sampled token alone
                detokenize=False,
            )
            for seed in request["seeds"]
        ]
        outputs = engine.generate(prompts, parameters, use_tqdm=False)
        return sum(len(answer.token_ids) for output in outputs for answer in output.outputs)

    answer_requests(sample)


if __name__ == "__main__":
    main()
