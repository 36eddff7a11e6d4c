"""Runs the attackers of verifiers/attack/ against an environment, judging in the verifier pool."""

import ast
import asyncio
import inspect
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from envs.base import Env, EnvError, NoTasks, Task
from envs.registry import job, make_env
from envs.sources import source_files
from verifiers.attack import anything, mathematics, mutation, program_mutation, programs
from verifiers.attack.attacker import Attacker, Expect, Target
from verifiers.attack.literals import constant_texts
from verifiers.attack.reading import gold_of
from verifiers.attack.report import Example, Report, Row
from verifiers.pool import Limits, VerifierPool
from verifiers.verdict import Outcome, Verdict

ATTACKERS: tuple[Attacker, ...] = (
    *anything.ATTACKERS,
    *mathematics.ATTACKERS,
    *mutation.ATTACKERS,
    *programs.ATTACKERS,
    *program_mutation.ATTACKERS,
)


class Effort(NamedTuple):
    """How much is tried."""

    tasks: int  # attacked unless somebody says otherwise
    solved: int  # tasks on which its own solution is tried
    enough: int  # attacked tasks, for an environment to be admitted
    judged_twice: int  # responses


FINAL_ANSWERS = Effort(tasks=40, solved=500, enough=10, judged_twice=400)
PROGRAMS = Effort(tasks=6, solved=20, enough=5, judged_twice=24)

OTHERS = 12  # solutions of other tasks that an attacker sees
BROKEN_ENOUGH = 20  # verdicts, if they are most: the verifier is refused without trying the rest
POOL_NAME = "pool/"  # verdicts signed with it are about time and memory, and may differ

Say = Callable[[str], None]


def effort_for(env: Env) -> Effort:
    return PROGRAMS if env.answers == "program" else FINAL_ANSWERS


class Attempt(NamedTuple):
    """One response to one task."""

    attacker: Attacker
    task: int
    label: str
    response: str


class _Setting(NamedTuple):
    """An environment, its tasks, and what judges responses to them."""

    name: str
    options: Mapping[str, Any]
    tasks: list[Task]
    solutions: list[str]
    effort: Effort
    limits: Limits
    workers: int
    log_path: Path

    def pool(self) -> VerifierPool:
        prepare = [{"name": self.name, "options": dict(self.options)}]
        return VerifierPool(
            "envs.registry:judge", self.workers, self.limits, self.log_path, prepare
        )


async def attack(
    name: str,
    options: Mapping[str, Any],
    *,
    limits: Limits,
    n_tasks: int | None = None,
    workers: int = 2,
    log_path: Path,
    say: Say = lambda _: None,
) -> Report:
    """Attack the environment `name`, and report what it accepted and refused.

    Args:
        n_tasks: drawn from its training split; None: as many as its `Effort` says.
        log_path: where the verifier workers' own output goes.
        say: told what is being done, in a few words, now and then.

    Raises:
        EnvError: there is no such environment, or its options or data are wrong.
        NoTasks: it has too few tasks.
        VerifierStartError: it cannot be loaded in a worker.
    """
    begin = time.monotonic()
    env = make_env(name, options)
    effort = effort_for(env)
    n_tasks = n_tasks or effort.tasks
    tasks, solutions = draw_tasks(env, max(n_tasks, effort.solved))
    setting = _Setting(name, options, tasks, solutions, effort, limits, workers, log_path)
    report = Report(
        name, dict(options), env.answers, min(n_tasks, len(tasks)), [], deadline_s=limits.deadline_s
    )
    with tempfile.TemporaryDirectory(prefix="assay-attack-") as folder:
        canary = Path(folder) / "executed"
        targets = make_targets(env, tasks, setting.solutions, str(canary))
        report.different = len({target.gold for target in targets})
        attempts = list(make_attempts(targets, n_tasks))
        Random(0).shuffle(attempts)  # so that hostile and honest responses meet in one worker
        judged = await _judge_all(setting, attempts, report, say)
        report.untried = len(attempts) - len(judged)
        attempts = [attempts[index] for index in judged]
        verdicts = list(judged.values())
        _count(report, setting, attempts, verdicts)
        if not report.untried:
            await _judge_again(setting, attempts, verdicts, report, say)
        report.executed = canary.exists()
    report.verifiers = sorted({verdict.verifier or "unsigned" for verdict in verdicts})
    report.seconds = time.monotonic() - begin
    return report


def draw_tasks(env: Env, n: int) -> tuple[list[Task], list[str]]:
    """The first n distinct training tasks of seed 0 (fewer where it has not so many), solved.

    Raises:
        EnvError: the environment cannot draw or solve one of its own tasks.
        NoTasks: it has too few tasks.
    """
    found: dict[str, Task] = {}
    solutions = []
    for index in range(20 * n):
        try:
            task = env.draw("train", 0, index)
            if task.key not in found:
                solution = env.solve(task)
                if solution is None:
                    raise EnvError(f"its training task {index} of seed 0 has no solution")
                solutions.append(solution)
        except EnvError:
            raise
        except Exception as error:  # an author's class may raise anything
            raise EnvError(
                f"it fails to draw or solve its own training task {index} of seed 0: "
                f"{type(error).__name__}: {error}"
            ) from error
        found.setdefault(task.key, task)
        if len(found) == n:
            break
    if len(found) < (enough := effort_for(env).enough):
        raise NoTasks(
            f"only {len(found)} distinct training tasks in {20 * n} draws, and an attack needs "
            f"{enough}: widen its options, or give it more data"
        )
    return list(found.values()), solutions


def make_targets(
    env: Env, tasks: Sequence[Task], solutions: Sequence[str], canary: str
) -> list[Target]:
    """What attackers see of every task."""
    literals = tuple(texts_in_source(type(env)))
    truths = [json.dumps(task.truth, sort_keys=True) for task in tasks]
    prompts = ["\n".join(message.content for message in task.messages) for task in tasks]

    counts = Counter(map(gold_of, solutions))
    common = tuple(gold for gold, count in counts.most_common(3) if count > 1)

    def target(index: int) -> Target:
        places = [(index + k) % len(tasks) for k in range(1, len(tasks))]
        others = [solutions[i] for i in places if truths[i] != truths[index]]
        return Target(
            answers=env.answers,
            prompt=prompts[index],
            truth=tasks[index].truth,
            solution=solutions[index],
            others=tuple(dict.fromkeys(others))[:OTHERS],
            common=common,
            literals=literals,
            canary=canary,
        )

    return [target(index) for index in range(len(tasks))]


def texts_in_source(env_class: type[Env]) -> Iterator[str]:
    """Short texts in the files that define an environment, put together where the source does that;
    one of them may be what it pays for."""
    seen = set[str]()
    own = inspect.getsourcefile(env_class)
    for file in sorted(source_files(env_class), key=lambda file: str(file) != own):  # own first
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for text in constant_texts(tree):
            if 0 < len(text) <= 80 and text not in seen:
                seen.add(text)
                yield text


def make_attempts(targets: Sequence[Target], n_tasks: int) -> Iterator[Attempt]:
    """Every attacker's responses to the first `n_tasks` tasks, or as many as it asks for."""
    for attacker in ATTACKERS:
        n = len(targets) if attacker.every_task else min(n_tasks, attacker.tasks or n_tasks)
        for index, target in enumerate(targets[:n]):
            if target.answers in attacker.answers:
                for label, text in attacker.responses(target):
                    yield Attempt(attacker, index, label, text)


async def _judge_all(
    setting: _Setting, attempts: Sequence[Attempt], report: Report, say: Say
) -> dict[int, Verdict]:
    """The verdicts by index, in the order of the attempts; notes cost in the report.

    Stops early where the verifier is broken; then the last attempts have no verdict.
    """
    waiting = iter(enumerate(attempts))
    verdicts: dict[int, Verdict] = {}
    broken = 0

    async def work(pool: VerifierPool) -> None:
        nonlocal broken
        for index, attempt in waiting:  # shared: each takes the next one
            begin = time.monotonic()
            verdicts[index] = await pool.verify(*_jobs(setting, attempt))
            broken += verdicts[index].outcome is Outcome.BROKEN
            if broken >= BROKEN_ENOUGH and 2 * broken > len(verdicts):
                return
            seconds = time.monotonic() - begin
            if seconds > report.slowest_s:
                report.slowest_s = seconds
                report.slowest = f"{attempt.attacker.name}: {attempt.label}"
            if len(verdicts) % 50 == 0:
                report.peak_mib = max(report.peak_mib, pool.peak_mib())
                say(f"attacking {setting.name}: {len(verdicts):,} of {len(attempts):,} responses")

    async with setting.pool() as pool:
        await asyncio.gather(*(work(pool) for _ in range(setting.workers)))
        report.peak_mib = max(report.peak_mib, pool.peak_mib())
    return dict(sorted(verdicts.items()))


def _jobs(setting: _Setting, attempt: Attempt) -> tuple[dict[str, Any], dict[str, Any]]:
    """The job, and its control: the same task with its own solution."""
    task, solution = setting.tasks[attempt.task], setting.solutions[attempt.task]
    one, other = (
        job(setting.name, setting.options, task, text) for text in (attempt.response, solution)
    )
    return one, other


def _count(
    report: Report, setting: _Setting, attempts: Sequence[Attempt], verdicts: Sequence[Verdict]
) -> None:
    tried = {attempt.attacker for attempt in attempts}
    rows = {attacker: Row.of(attacker) for attacker in ATTACKERS if attacker in tried}
    for attempt, verdict in zip(attempts, verdicts, strict=True):
        rows[attempt.attacker].add(_example(setting, attempt, verdict.detail), verdict)
    report.rows = list(rows.values())


def _example(setting: _Setting, attempt: Attempt, detail: str) -> Example:
    prompt = " ".join(message.content for message in setting.tasks[attempt.task].messages)
    return Example.of(attempt.label, prompt, attempt.response, detail)


async def _judge_again(
    setting: _Setting,
    attempts: Sequence[Attempt],
    verdicts: Sequence[Verdict],
    report: Report,
    say: Say,
) -> None:
    """Judge some of the attempts in fresh workers and in the opposite order: what a response
    leaves behind in a worker, and what changes from one look to the next, shows as a difference.

    Verdicts about time and memory are left out: those may differ.
    """
    settled = [i for i, verdict in enumerate(verdicts) if not _is_about_limits(verdict)]
    honest = [i for i in settled if attempts[i].attacker.expect is Expect.ACCEPT]
    chosen = set(honest[: setting.effort.judged_twice // 2])
    for index in settled:
        if len(chosen) >= setting.effort.judged_twice:
            break
        chosen.add(index)
    say(f"attacking {setting.name}: judging {len(chosen)} responses once more")
    order = sorted(chosen, reverse=True)
    alone = setting._replace(workers=1)
    second = await _judge_all(alone, [attempts[i] for i in order], report, say)
    for place, now in second.items():
        index = order[place]
        then = verdicts[index]
        if _is_about_limits(now):
            continue
        report.judged_twice += 1
        if (then.outcome, then.score, then.answer) != (now.outcome, now.score, now.answer):
            detail = f"first {then.outcome} '{then.answer}', then {now.outcome} '{now.answer}'"
            report.changed.append(_example(setting, attempts[index], detail))


def _is_about_limits(verdict: Verdict) -> bool:
    return verdict.outcome is Outcome.EXCEEDED and verdict.verifier.startswith(POOL_NAME)
