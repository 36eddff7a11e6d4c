"""Worked solutions are cut as answers are: each chunk behind what the loop would carry over."""

from random import Random

from envs.running_sum import RunningSum
from rl.chat import encode
from rl.policy.embedded import make_tokenizer
from rl.policy.sft import Demonstration, tokenise
from rl.sampling.answering import Answering

ENV = RunningSum(steps=4)


def test_a_solution_is_a_row_for_every_chunk_and_only_new_tokens_are_learned():
    tokenizer = make_tokenizer(128)
    task = ENV.draw("train", 0, 0)
    solution = ENV.demonstrate(task, Random(0), corrupt=False)
    prompt = encode(tokenizer, task)
    answer = [*tokenizer.encode(solution, add_special_tokens=False), tokenizer.eos_token_id]
    assert len(answer) > 20

    rows = tokenise(tokenizer, [Demonstration(task, solution)], Answering(12, 5, 2))

    assert rows[0]["input_ids"] == prompt + answer[:12]
    assert rows[0]["labels"] == [-100] * len(prompt) + answer[:12]
    assert rows[1]["input_ids"] == prompt + answer[:2] + answer[7:12] + answer[12:19]
    assert rows[1]["labels"] == [-100] * (len(prompt) + 7) + answer[12:19]
    learned = [token for row in rows for token in row["labels"] if token != -100]
    assert learned == answer
    assert all(len(row["input_ids"]) <= len(prompt) + 2 + 12 for row in rows)


def test_without_chunks_a_solution_is_one_row():
    tokenizer = make_tokenizer(128)
    task = ENV.draw("train", 0, 1)
    [row] = tokenise(tokenizer, [Demonstration(task, ENV.solve(task))])
    assert len(row["input_ids"]) == len(row["labels"])
