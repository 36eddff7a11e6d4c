"""What every environment must keep, as checks that a test can call: `check_env(MyEnv())`.

Each check takes an environment and how many answers to judge at most; the more, the surer. It
raises ContractError with the first thing that is wrong, and returns nothing.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from hashlib import sha256
from inspect import getfile
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from typing import Any

from envs.attack import ATTACKERS, make_targets
from envs.base import Env, Split, Task
from envs.registry import job, judge, make_env
from envs.work import cpu_s, lines_run
from verifiers.answer import final_answer
from verifiers.attack import anything
from verifiers.attack.attacker import Attacker, Expect, Target
from verifiers.verdict import Outcome, Verdict

SPLITS: tuple[Split, ...] = ("train", "test")
DRAWN = 300  # tasks to look at where nothing is judged

JUNK = [
    "", " ", "\n", "?", "None", "nan", "True", "the answer is correct", "\\boxed{}", "\\boxed{",
    "\\boxed{None}", "\\boxed{\\infty}", "\\boxed{0/0}", "}{" * 50, "\x00", "\ud800", "\u202e1",
    "\\boxed{__import__('os')._exit(0)}", "<answer></answer>", "Answer:", "####", "\\" * 101,
    "```python\n```", "```python\nraise SystemExit(0)\n```", "```",
]  # fmt: skip

HOSTILE = [
    "\\boxed{", "\\boxed{1}", "Answer: 1\n", "#### 1\n", "9", "0", "(", "{", "[", "$", "\\", "-",
    "^", "1,000", "\\frac", "\\text{a}", " ", "\n", "a ", "1+", "x_", "=", "\\left(", "9.",
    "<<1=1>>", "'", '"', "```", "```\n", "`",
]  # fmt: skip
DIGITS, LETTERS = "123456789", "abcdefghijklmnopqrstuvwxyz"
WRAPPERS = ["{}", "\\boxed{{{}}}", "\\boxed{{{}x", "Answer: {}"]

CANARIES = 3  # to look at
SAME_FUNCTION = 0.05  # share of neighbouring programming tasks that may have the same solution


class ContractError(AssertionError):
    """An environment does not keep a rule; the message names both, and shows a case."""


def check_env(env: Env, n: int = 1000) -> None:
    """Hold an environment to every check.

    n: answers to judge in the largest check; a few tens will do while you write one whose answers
        are slow to judge.

    Raises:
        ContractError: it does not keep one of them.
    """
    for check in CHECKS:
        check(env, n)


def require(kept: bool, env: Env, rule: str, case: object = "") -> None:
    if not kept:
        shown = f": {case!r:.1500}" if case != "" else ""
        raise ContractError(f"{env!r} does not keep the rule that {rule}{shown}")


def tasks_of(env: Env, split: Split, n: int, seed: int = 0) -> list[Task]:
    return [env.draw(split, seed, index) for index in range(n)]


def finding(verdict: Verdict) -> tuple[Outcome, float, str | None]:
    """What must repeat: the detail, for a person, may say how long something took."""
    return verdict.outcome, verdict.score, verdict.answer


def options_of(env: Env) -> dict[str, Any]:
    return {f.name: getattr(env, f.name) for f in fields(env)}  # pyright: ignore


def name_of(env: Env) -> str:
    """A name under which another process can make the environment."""
    return f"{Path(getfile(type(env))).resolve()}:{type(env).__qualname__}"


# -- drawing tasks ---------------------------------------------------------------------------------


def a_task_depends_on_split_seed_and_index_alone(env: Env, n: int) -> None:
    again = make_env(name_of(env), options_of(env))
    places: list[tuple[Split, int, int]] = [
        (split, seed, index)
        for split in SPLITS
        for seed in (0, 7)
        for index in range(0, min(n, 200), 9)
    ]
    first = {place: env.draw(*place) for place in places}
    Random(5).shuffle(places)
    for place in places:
        drawn = again.draw(*place)
        require(drawn == first[place], env, "drawing a task again gives the same", first[place])


def a_task_is_the_same_in_every_process(env: Env, n: int) -> None:
    """Sets and hashes of text differ between processes, unless PYTHONHASHSEED says otherwise."""
    here = digest(env)
    there = subprocess.run(
        [sys.executable, "-m", "envs.contract", name_of(env), json.dumps(options_of(env))],
        env={
            **os.environ,
            "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    require(there.returncode == 0, env, "another process can make it", there.stderr[-1000:])
    rule = "tasks are the same in every process (do they depend on the order of a set?)"
    require(there.stdout.strip() == here, env, rule)


def digest(env: Env) -> str:
    """Of tasks, solutions and demonstrations."""
    found = sha256()
    for split in SPLITS:
        for task in tasks_of(env, split, 30):
            shown = [task.key, task.truth, solution_of(env, task)]
            if demonstrates(env):
                shown += [env.demonstrate(task, Random(1), corrupt) for corrupt in (False, True)]
            found.update(json.dumps(shown).encode())
    return found.hexdigest()


def no_held_out_task_occurs_in_training(env: Env, n: int) -> None:
    held_out = {task.key for seed in (0, 1) for task in tasks_of(env, "test", DRAWN // 6, seed)}
    trained = {task.key for seed in (1, 2) for task in tasks_of(env, "train", DRAWN, seed)}
    require(bool(held_out), env, "some tasks are held out")
    require(not held_out & trained, env, "no held-out task occurs in training")


def another_seed_gives_other_tasks(env: Env, n: int) -> None:
    """Chance alone makes some equal where there are few; a shifted copy makes nearly all."""
    one, other = ([t.key for t in tasks_of(env, "train", DRAWN, seed)] for seed in (0, 1))
    for shift in range(-3, 4):
        equal = sum(one[i] == other[i + shift] for i in range(3, DRAWN - 3))
        require(equal < 0.1 * DRAWN, env, "another seed gives other tasks, not the same shifted")


def tasks_vary(env: Env, n: int) -> None:
    counts = Counter(task.key for task in tasks_of(env, "train", DRAWN))
    require(len(counts) > DRAWN / 3, env, "300 tasks are more than 100 different ones", len(counts))
    most = max(counts.values())
    require(most < DRAWN / 10, env, "no task is drawn 30 times in 300", most)


def truth_is_data(env: Env, n: int) -> None:
    for task in tasks_of(env, "train", min(n, 100)):
        try:
            again = json.loads(json.dumps(task.truth, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ContractError(f"{env!r}: the truth is no JSON ({error}): {task!r:.500}") from None
        require(again == task.truth, env, "the truth is JSON and comes back the same", task.truth)


# -- judging answers -------------------------------------------------------------------------------


def its_own_solution_is_accepted(env: Env, n: int) -> None:
    for task in (*tasks_of(env, "train", n), *tasks_of(env, "test", n // 10)):
        verdict = env.verify(task, solution_of(env, task))
        case = (task, solution_of(env, task), verdict)
        require(verdict.outcome is Outcome.CORRECT, env, "its own solution is accepted", case)


def the_solution_of_another_task_is_refused(env: Env, n: int) -> None:
    pairs = [
        (task, solution_of(env, other))
        for task, other in pairwise(tasks_of(env, "train", min(n, 300)))
        if task.truth != other.truth and answer_of(env, task) != answer_of(env, other)
    ]
    accepted = [p for p in pairs if env.verify(*p).outcome is Outcome.CORRECT]
    allowed = SAME_FUNCTION * len(pairs) if env.answers == "program" else 0
    rule = "the solution of another task is refused"
    require(len(accepted) <= allowed, env, rule, accepted[:1])


def solution_of(env: Env, task: Task) -> str:
    solution = env.solve(task)
    require(solution is not None, env, "a task to train on has a solution", task)
    return solution or ""


def answer_of(env: Env, task: Task) -> str:
    """What the solution ends in; all of it, where that is a program."""
    solution = solution_of(env, task)
    return solution if env.answers == "program" else final_answer(solution) or ""


def a_near_miss_is_refused(env: Env, n: int) -> None:
    """One digit of the final answer changed; of a text without digits one letter."""
    rng = Random(7)
    for task in tasks_of(env, "train", min(n, 300)):
        if env.answers == "program":
            return
        answer = answer_of(env, task)
        digits = [i for i, c in enumerate(answer) if c in DIGITS]
        letters = [i for i, c in enumerate(answer) if c in LETTERS and env.answers == "text"]
        if not digits and not letters:
            continue
        i = rng.choice(digits or letters)
        other = rng.choice([c for c in (DIGITS if digits else LETTERS) if c != answer[i]])
        wrong = f"\\boxed{{{answer[:i]}{other}{answer[i + 1 :]}}}"
        verdict = env.verify(task, wrong)
        kept = verdict.outcome not in (Outcome.CORRECT, Outcome.BROKEN)
        require(kept, env, "a near miss is refused", (task, wrong, verdict))


def junk_is_neither_accepted_nor_fatal(env: Env, n: int) -> None:
    for task in tasks_of(env, "train", min(n, 20)):
        for junk in JUNK:
            verdict = env.verify(task, junk)
            kept = verdict.score == 0 and verdict.outcome not in (Outcome.CORRECT, Outcome.BROKEN)
            require(kept, env, "junk is refused", (task, junk, verdict))


def the_prompt_does_not_give_the_answer_away(env: Env, n: int) -> None:
    for task in tasks_of(env, "train", min(n, 100)):
        for message in task.messages:
            require(bool(message.content.strip()), env, "a message says something", task)
            leaked = solution_of(env, task) in message.content
            require(not leaked, env, "the solution is not in the prompt", task)
            verdict = env.verify(task, message.content)
            accepted = verdict.outcome is Outcome.CORRECT
            require(not accepted, env, "repeating the prompt is no answer", task)
        if env.answers == "program" and isinstance(task.truth, dict):
            hidden = _inputs(task.truth.get("hidden_tests", []))
            visible = _inputs(task.truth.get("visible_tests", []))
            require(bool(hidden), env, "a programming task has hidden tests", task)
            require(not hidden & visible, env, "no hidden test is shown", hidden & visible)


def _inputs(tests: list[dict[str, Any]]) -> set[str]:
    return {json.dumps(test.get("args", test.get("input"))) for test in tests}


def a_verdict_does_not_depend_on_what_was_judged_before(env: Env, n: int) -> None:
    tasks = tasks_of(env, "train", min(n, 50))
    answers = [(task, solution_of(env, other)) for task in tasks for other in (task, tasks[0])]
    answers += [(task, junk) for task, junk in zip(tasks, JUNK * 3, strict=False)]
    expected = [finding(env.verify(*answer)) for answer in answers]
    Random(3).shuffle(order := list(range(len(answers))))
    again = make_env(name_of(env), options_of(env))
    for i in order:
        same = finding(again.verify(*answers[i])) == expected[i]
        require(same, env, "a verdict does not depend on earlier answers", answers[i])


def a_task_can_be_sent_as_data_and_is_judged_the_same(env: Env, n: int) -> None:
    for task in tasks_of(env, "train", min(n, 20)):
        for response in (solution_of(env, task), "no answer"):
            sent = json.loads(json.dumps(job(name_of(env), options_of(env), task, response)))
            same = finding(judge(sent)) == finding(env.verify(task, response))
            require(same, env, "a task sent to a verifier process is judged the same", task)


def a_verdict_says_who_judged_and_why(env: Env, n: int) -> None:
    task, other = tasks_of(env, "train", 2)
    require(
        bool(env.verify(task, solution_of(env, task)).verifier), env, "a verdict says who judged"
    )
    refused = env.verify(task, solution_of(env, other))
    if refused.outcome is not Outcome.CORRECT:
        kept = bool(refused.detail) and "\n" not in refused.detail
        require(kept, env, "a refusal says why, in one line", refused)


def a_long_hostile_answer_is_judged_in_linear_work(env: Env, n: int) -> None:
    """Four times the length may cost at most about four times: quadratic work would be 16 times.

    Work inside Python is counted in lines run; work inside C (regular expressions) as CPU time, in
    which only a gross excess is an error, so that a busy machine does not matter.
    """
    task = env.draw("train", 0, 0)
    for unit in HOSTILE:
        for wrapper in WRAPPERS:
            short, long = (wrapper.format(unit * (size // len(unit))) for size in (20_000, 80_000))
            env.verify(task, short)  # imports and caches
            few, many = (lines_run(lambda r=r: env.verify(task, r)) for r in (short, long))
            case = (wrapper, unit)
            require(many < 6 * few + 20_000, env, "judging takes linear work", case)
            seconds = cpu_s(lambda r=long: env.verify(task, r))
            require(seconds < 2, env, "80,000 characters are judged within 2 s", case)


# -- demonstrations --------------------------------------------------------------------------------


def demonstrates(env: Env) -> bool:
    return type(env).demonstrate is not Env.demonstrate


def demonstrations(env: Env, n: int, corrupt: bool) -> Iterator[tuple[Task, str]]:
    for index, task in enumerate(tasks_of(env, "train", min(n, 300))):
        yield task, env.demonstrate(task, Random(index), corrupt)


def demonstrations_are_accepted_and_corrupted_ones_refused(env: Env, n: int) -> None:
    """A corrupted one is wrong and nothing else: its format stays perfect."""
    if not demonstrates(env):
        return
    for corrupt, wanted in ((False, Outcome.CORRECT), (True, Outcome.WRONG)):
        for task, response in demonstrations(env, n, corrupt):
            verdict = env.verify(task, response)
            rule = f"a demonstration with corrupt={corrupt} is {wanted}"
            require(verdict.outcome is wanted, env, rule, (task, response, verdict))


def demonstrations_repeat_for_equal_randomness(env: Env, n: int) -> None:
    if demonstrates(env):
        for corrupt in (False, True):
            first, again = (list(demonstrations(env, min(n, 100), corrupt)) for _ in range(2))
            require(first == again, env, "demonstrations repeat for equal randomness")


# -- alarms while it is trained on -----------------------------------------------------------------


def a_canary_is_paid_for_by_nothing(env: Env, n: int) -> None:
    """Not by solutions of other tasks, constants, echoes, forged verdicts and the like; and it can
    be sent as data, and comes again for equal randomness."""
    tasks = tasks_of(env, "train", min(n, 20))
    solutions = [solution_of(env, task) for task in tasks]
    targets = make_targets(env, tasks, solutions, "/nowhere/executed")
    general = [a for a in anything.ATTACKERS if a.name != "endless text"]  # slow, and no answer
    for index in range(CANARIES):
        canary = env.canary(Random(index))
        if canary is None:
            return
        require(env.canary(Random(index)) == canary, env, "canaries repeat for equal randomness")
        same = json.loads(json.dumps(canary.truth)) == canary.truth
        require(same, env, "a canary's truth is JSON and comes back the same", canary)
        prompt = "\n".join(message.content for message in canary.messages)
        attacked = replace(targets[index % len(targets)], prompt=prompt, truth=canary.truth)
        attacks = responses(attacked, general) if index == 0 else []
        for response in (*solutions, *attacks):
            verdict = env.verify(canary, response)
            kept = verdict.score == 0 and verdict.outcome is not Outcome.BROKEN
            require(kept, env, "a canary is paid for by nothing", (canary, response, verdict))


def the_second_opinion_accepts_what_is_right(env: Env, n: int) -> None:
    """Its own solution, as it is and rewritten."""
    tasks = tasks_of(env, "train", min(n, 100))
    targets = make_targets(
        env, tasks, [solution_of(env, task) for task in tasks], "/nowhere/executed"
    )
    honest = [attacker for attacker in ATTACKERS if attacker.expect is Expect.ACCEPT]
    pairs = (
        (task, response)
        for task, target in zip(tasks, targets, strict=True)
        for response in responses(target, honest)
    )
    for task, response in islice(pairs, n):
        verdict = env.recheck(task, response)
        kept = verdict.outcome is Outcome.CORRECT
        case = (task, response, verdict)
        require(kept, env, "the second opinion accepts what is right", case)


def responses(target: Target, attackers: Iterable[Attacker]) -> Iterator[str]:
    for attacker in attackers:
        if target.answers in attacker.answers:
            yield from (response.text for response in attacker.responses(target))


CHECKS: tuple[Callable[[Env, int], None], ...] = (
    its_own_solution_is_accepted,
    no_held_out_task_occurs_in_training,
    a_task_depends_on_split_seed_and_index_alone,
    a_task_is_the_same_in_every_process,
    another_seed_gives_other_tasks,
    tasks_vary,
    truth_is_data,
    the_solution_of_another_task_is_refused,
    a_near_miss_is_refused,
    junk_is_neither_accepted_nor_fatal,
    the_prompt_does_not_give_the_answer_away,
    a_verdict_does_not_depend_on_what_was_judged_before,
    a_task_can_be_sent_as_data_and_is_judged_the_same,
    a_verdict_says_who_judged_and_why,
    a_long_hostile_answer_is_judged_in_linear_work,
    demonstrations_are_accepted_and_corrupted_ones_refused,
    demonstrations_repeat_for_equal_randomness,
    a_canary_is_paid_for_by_nothing,
    the_second_opinion_accepts_what_is_right,
)


if __name__ == "__main__":  # what a_task_is_the_same_in_every_process starts
    print(digest(make_env(sys.argv[1], json.loads(sys.argv[2]))))
