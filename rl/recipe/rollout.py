"""The recipe's `rollout:` section: budgets, chunks, and what happens when a budget runs out.

Without torch: the supervisor reads this too. rl/sampling/answering.py does what it says.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rl.recipe.schema import Clash, Count, Finite, Name, NotNegative, Positive, Section

MIN_TEMPERATURE = 0.01  # vLLM raises what lies between 0 and this, and would sample from that


def chunk_budget(chunk_tokens: int, carry_tokens: int, chunks: int) -> int:
    """Tokens of an answer in so many chunks (Delethink, arXiv:2510.06557, section 3)."""
    return chunk_tokens + (chunks - 1) * (chunk_tokens - carry_tokens)


class Rollouts(Section):
    max_new_tokens: Count = 1024
    """Budget of one answer, in tokens. With chunk_tokens it is what the chunks add up to, and stays
    away."""

    temperature: Annotated[Finite, Field(ge=MIN_TEMPERATURE)] = 1.0
    """Of sampling; the learner's logits are divided by it too, so that ratios compare like with
    like."""

    deadline_s: Positive = 3600.0
    """Longest wait for one step's answers before the run stops and says which server is late."""

    straggler_s: NotNegative | None = None
    """With max_staleness: how long a step waits for its last answers when two to each task are
    there; the late ones are trained on in the step after they come. None: it waits for all."""

    truncated: Literal["train", "mask", "penalty", "interrupt"] = "train"
    """What is done about answers that run out of tokens. train: they are trained on with the reward
    of their verdict; mask: they are left out of the loss; penalty: an answer that ends within the
    last penalty_tokens of its budget loses reward, up to 1 at its end; interrupt: at a random point
    of the last 15 % of its budget closing_phrase is put into an answer, out of the loss, and it
    goes on with what is left."""

    penalty_tokens: Count | None = None
    """penalty: from so many tokens before the end of the budget on reward falls in a line. None: a
    fifth of the budget."""

    closing_phrase: Name = "\n\nNo time is left to think, so here is my final answer.\n\n"
    """interrupt: the text that is put in."""

    chunk_tokens: Annotated[int, Field(ge=2)] | None = None
    """Answers are sampled in chunks: so many tokens after the prompt, then a fresh context of the
    prompt, the answer's first head_tokens and its last carry_tokens goes on, and again. None: one
    context holds the whole answer."""

    carry_tokens: Annotated[int, Field(ge=0)] = 0
    """Of a chunk's chunk_tokens so many are carried over from the chunk before."""

    head_tokens: Annotated[int, Field(ge=0)] = 0
    """So many tokens from the beginning of the answer stay in sight of every chunk."""

    chunks: Count = 1
    """Most chunks of an answer: its budget is chunk_tokens, and chunk_tokens - carry_tokens for
    every further one."""

    @property
    def context_tokens(self) -> int:
        """What a context must hold beside the prompt."""
        if self.chunk_tokens is None:
            return self.max_new_tokens
        return self.chunk_tokens + self.head_tokens

    def penalty_window(self, budget: int) -> int:
        """Over how many tokens before the end of a budget the penalty rises."""
        return self.penalty_tokens or max(1, budget // 5)

    def budget(self, chunks: int | None) -> int:
        """Tokens of an answer in at most so many chunks; None: in as many as the recipe says."""
        if self.chunk_tokens is None or chunks is None:
            return self.max_new_tokens
        return chunk_budget(self.chunk_tokens, self.carry_tokens, chunks)

    @model_validator(mode="before")
    @classmethod
    def _chunks_add_up_to_the_budget(cls, written: Any) -> Any:
        if not isinstance(written, dict) or "max_new_tokens" in written:
            return written
        fields = cls.model_fields
        size, carry, chunks = (
            written.get(key, fields[key].default)
            for key in ("chunk_tokens", "carry_tokens", "chunks")
        )
        if not all(type(value) is int for value in (size, carry, chunks)):
            return written  # no chunks, or something that the schema will refuse
        return {**written, "max_new_tokens": max(1, chunk_budget(size, carry, chunks))}

    @model_validator(mode="after")
    def _chunks_make_sense(self) -> "Rollouts":
        if self.chunk_tokens is None:
            for key, without in (("carry_tokens", 0), ("head_tokens", 0), ("chunks", 1)):
                if (value := getattr(self, key)) != without:
                    raise Clash(
                        f"rollout.{key} ({value}) is about chunks, and there are none without "
                        "rollout.chunk_tokens (found null): set it, or leave this out",
                        key,
                        "chunk_tokens",
                    )
            return self
        kept = self.carry_tokens + self.head_tokens
        if kept >= self.chunk_tokens:
            raise Clash(
                f"rollout.carry_tokens ({self.carry_tokens}) and rollout.head_tokens "
                f"({self.head_tokens}) together must be below rollout.chunk_tokens "
                f"({self.chunk_tokens}): lower them, or a chunk has no room for new tokens",
                "carry_tokens",
                "chunk_tokens",
            )
        due = chunk_budget(self.chunk_tokens, self.carry_tokens, self.chunks)
        if self.max_new_tokens != due:
            raise Clash(
                f"rollout.max_new_tokens ({self.max_new_tokens}) follows from rollout.chunk_tokens "
                f"({self.chunk_tokens}), carry_tokens and chunks, which add up to {due}: leave it "
                "out",
                "max_new_tokens",
                "chunk_tokens",
            )
        return self

    @model_validator(mode="after")
    def _the_penalty_begins_within_the_budget(self) -> "Rollouts":
        window = self.penalty_tokens
        if window is not None and self.truncated != "penalty":
            raise Clash(
                f"rollout.penalty_tokens ({window}) belongs to rollout.truncated penalty (found "
                f"'{self.truncated}'): leave one of the two out",
                "penalty_tokens",
                "truncated",
            )
        if window is not None and window > self.max_new_tokens:
            raise Clash(
                f"rollout.penalty_tokens ({window}) must be at most rollout.max_new_tokens "
                f"({self.max_new_tokens}): lower it",
                "penalty_tokens",
                "max_new_tokens",
            )
        return self
