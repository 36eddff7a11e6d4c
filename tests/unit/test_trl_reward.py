"""The reward function for TRL: verdicts from killable processes, and a real GRPOTrainer step."""

from pathlib import Path

import pytest

import verifiers.trl
from verifiers.blocking import BlockingPool
from verifiers.pool import Limits, VerifierStartError
from verifiers.trl import text_of
from verifiers.verdict import Outcome

LIMITS = Limits(deadline_s=20.0, cpu_s=10.0, memory_mib=2048)

VERIFIER = """
from verifiers.verdict import correct

def judge(job):
    if job["response"] == "hang":
        while True:
            pass
    if job["response"] == "raise":
        raise RuntimeError("the verifier is at fault")
    return correct(job["response"], "test/1")
"""


@pytest.fixture
def verifier(tmp_path: Path) -> str:
    file = tmp_path / "verifier.py"
    file.write_text(VERIFIER)
    return f"{file}:judge"


def test_a_reward_is_the_score_and_none_when_the_verifier_failed(verifier: str) -> None:
    limits = Limits(deadline_s=20.0, cpu_s=0.5, memory_mib=512)
    reward = verifiers.trl.reward(verifier, workers=1, limits=limits)
    try:
        completions = ["yes", "hang", "raise", "yes"]
        found = reward(prompts=[""] * 4, completions=completions, solution=[""] * 4)
        assert found == [1.0, 0.0, None, 1.0]
        outcomes = [verdict.outcome for verdict in reward.verdicts]
        assert outcomes == [Outcome.CORRECT, Outcome.EXCEEDED, Outcome.BROKEN, Outcome.CORRECT]
    finally:
        reward.close()


def test_completions_may_be_text_or_messages_and_columns_have_any_name() -> None:
    reward = verifiers.trl.reward(
        "math", gold="truth", problem="question", workers=1, limits=LIMITS
    )
    messages = [{"role": "assistant", "content": "\\boxed{50}"}]
    try:
        for completion in ("\\boxed{50}", messages):
            found = reward(
                prompts=["", ""],
                completions=[completion, "\\boxed{50\\text{ m}}"],
                truth=["50", "50"],
                question=["Give its length in centimetres."] * 2,
                other=[1, 2],
            )
            assert found == [1.0, 0.0]
    finally:
        reward.close()


def test_a_column_that_the_dataset_lacks_is_named() -> None:
    reward = verifiers.trl.reward("math", gold="truth")
    with pytest.raises(KeyError, match=r"no column 'truth' \(it has answer\)"):
        reward(prompts=[""], completions=[""], answer=["4"])


def test_what_is_no_completion_or_no_verifier_is_refused() -> None:
    with pytest.raises(TypeError, match="text or a list of messages"):
        text_of(3)
    with pytest.raises(ValueError, match="no verifier 'maths'"):
        verifiers.trl.reward("maths")


def test_a_closed_pool_has_no_workers_and_judges_no_more(verifier: str, tmp_path: Path) -> None:
    log = tmp_path / "workers.log"
    with BlockingPool(verifier, 1, LIMITS, log_path=log) as pool:
        [verdict] = pool.verify([{"response": "yes"}])
        assert verdict.outcome is Outcome.CORRECT
    pool.close()
    with pytest.raises(RuntimeError, match="after close"):
        pool.verify([])


def test_a_verifier_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(VerifierStartError, match=r"no file .*none\.py"):
        BlockingPool(f"{tmp_path}/none.py:judge", 1, LIMITS)


@pytest.mark.slow
def test_a_real_grpo_trainer_learns_from_it_in_one_line(tmp_path: Path) -> None:
    """Two steps on a random policy of 0.1 M parameters; every completion gets its verdict."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    from rl.policy.embedded import make_embedded
    from rl.recipe.sections import EmbeddedPolicy

    sizes = {"layers": 2, "hidden": 64, "heads": 2, "kv_heads": 1, "intermediate": 128}
    make_embedded(tmp_path / "policy", EmbeddedPolicy(**sizes, max_tokens=256), seed=0)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "policy", padding_side="left")
    prompt = [{"role": "user", "content": "1+2=?"}]
    reward = verifiers.trl.reward("math", gold="solution", workers=1, limits=LIMITS)
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tmp_path / "policy"),
        reward_funcs=[reward],
        args=GRPOConfig(
            output_dir=str(tmp_path / "out"),
            max_steps=2,
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=8,
            use_cpu=True,
            bf16=False,
            report_to="none",
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([{"prompt": prompt, "solution": "3"}] * 4),
        processing_class=tokenizer,
    )
    try:
        trainer.train()
    finally:
        reward.close()
    assert [verdict.verifier for verdict in reward.verdicts] == ["math/2"] * 4
    logged = [row for row in trainer.state.log_history if "rewards/verifiers.math/mean" in row]
    assert [row["rewards/verifiers.math/mean"] for row in logged] == [0.0, 0.0]
