"""Between text and tokens: the only place where text becomes tokens, and where it comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from envs.base import Task
from rl.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode(tokenizer: PreTrainedTokenizerBase, task: Task) -> list[int]:
    """Prompt tokens of a task: the chat template, once, with the opening of the policy's turn.

    Raises:
        UserError: the tokenizer has no chat template, or its template refuses these messages.
    """
    if not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer of '{tokenizer.name_or_path}' has no chat template: choose the "
            "instruction-tuned version of the model, or put a file chat_template.jinja beside its "
            "tokenizer.json"
        )
    messages = [{"role": m.role, "content": m.content} for m in task.messages]
    from jinja2 import TemplateError

    try:
        tokens = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=False
        )
    except TemplateError as error:
        roles = ", ".join(message.role for message in task.messages)
        raise UserError(
            f"the chat template of '{tokenizer.name_or_path}' refuses messages with the roles "
            f"[{roles}]: {error}"
        ) from error
    return cast("list[int]", tokens)


def decode(tokenizer: PreTrainedTokenizerBase, tokens: list[int]) -> str:
    """Text of a response, special tokens left out, spaces as they were sampled."""
    text = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return cast(str, text)
