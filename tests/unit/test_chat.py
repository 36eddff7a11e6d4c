"""Between text and tokens, with the embedded policy's tokenizer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.arithmetic import Arithmetic
from envs.base import Message, Task
from rl import chat
from rl.errors import UserError
from rl.policy.embedded import SPECIAL, WHOLE_WORDS, make_tokenizer

TOKENIZER = make_tokenizer(2048)


def tokens_of(text: str) -> list[int]:
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


def test_a_prompt_is_the_template_with_the_policys_turn_opened() -> None:
    tokens = chat.encode(TOKENIZER, Task("1+2=?", "3"))
    assert TOKENIZER.decode(tokens) == "<|user|>1+2=?<|end|><|assistant|>"


def test_every_turn_of_a_conversation_is_there_in_order() -> None:
    turns = (Message("system", "Be brief."), Message("user", "a"), Message("assistant", "b"))
    tokens = chat.encode(TOKENIZER, Task((*turns, Message("user", "c")), "3"))
    assert TOKENIZER.decode(tokens) == (
        "<|system|>Be brief.<|end|><|user|>a<|end|><|assistant|>b<|end|>"
        "<|user|>c<|end|><|assistant|>"
    )


def test_decoding_leaves_special_tokens_out_and_spaces_alone() -> None:
    text = " a  , b .\n\\boxed{12} n't"
    end = TOKENIZER.eos_token_id
    assert chat.decode(TOKENIZER, [*tokens_of(text), end]) == text
    assert chat.decode(TOKENIZER, [end]) == ""


@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    plain = text if not any(token in text for token in SPECIAL) else ""
    assert chat.decode(TOKENIZER, tokens_of(plain)) == plain


def test_every_printable_character_is_one_token() -> None:
    for code in range(32, 127):
        assert len(tokens_of(chr(code))) == 1


def test_what_opens_an_answer_is_one_token() -> None:
    for word in WHOLE_WORDS:
        assert len(tokens_of(word)) == 1


def test_a_worked_sum_takes_at_most_48_tokens() -> None:
    env = Arithmetic()
    lengths = {len(tokens_of(env.solve(env.draw("train", 0, i)))) + 1 for i in range(500)}
    assert lengths == {33, 34}


def test_a_tokenizer_without_chat_template_is_refused_with_what_to_do() -> None:
    bare = make_tokenizer(64)
    bare.chat_template = None
    bare.name_or_path = "some/base-model"
    with pytest.raises(UserError, match="'some/base-model' has no chat template: choose"):
        chat.encode(bare, Task("1+2=?", "3"))


def test_a_template_that_refuses_a_role_says_which_roles_it_was_given() -> None:
    strict = make_tokenizer(64)
    strict.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}"
        "{{ raise_exception('no system turn, please') }}{% endif %}{{ m['content'] }}{% endfor %}"
    )
    turns = (Message("system", "Be brief."), Message("user", "1+2=?"))
    with pytest.raises(UserError, match=r"\[system, user\]: no system turn, please"):
        chat.encode(strict, Task(turns, "3"))
