"""Functions made of small steps: drawn at random, written in English and in Python, and called.

Only our own functions are ever called here; the Python text is for prompts and solutions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any, NamedTuple, Self

from envs.primitives import PRIMITIVES, VARIABLES, Primitive, Type


class Step(NamedTuple):
    primitive: Primitive
    constant: Any

    def code(self, x: str) -> str:
        return self.primitive.code.replace("{k}", repr(self.constant)).replace("{x}", x)

    def words(self, pattern: str) -> str:
        return pattern.replace("{k}", str(self.constant))


@dataclass(frozen=True)
class Pipeline:
    """Steps and the types between them; called with a value, it gives the result."""

    types: tuple[Type, ...]  # of the value before each step and after the last
    steps: tuple[Step, ...]

    @property
    def takes(self) -> Type:
        return self.types[0]

    @property
    def gives(self) -> Type:
        return self.types[-1]

    def values(self, value: Any) -> list[Any]:
        """The value after each step."""
        found = []
        for step in self.steps:
            value = step.primitive.call(value, step.constant)
            found.append(value)
        return found

    def __call__(self, value: Any) -> Any:
        return self.values(value)[-1]

    def keywords(self) -> str:
        return ", ".join(step.words(step.primitive.keyword) for step in self.steps)

    def sentence(self) -> str:
        return ", then ".join(step.words(step.primitive.says) for step in self.steps)

    def expression(self, x: str) -> str:
        for step in self.steps:
            x = step.code(x)
        return x

    def program(self, name: str = "f") -> str:
        """In one line."""
        variable = VARIABLES[self.takes]
        return f"def {name}({variable}): return {self.expression(variable)}"

    def statements(self, name: str = "f") -> str:
        """A line per step."""
        lines = "".join(f"    {line}\n" for line in self._assignments())
        return f"def {name}({VARIABLES[self.takes]}):\n{lines}    return {VARIABLES[self.gives]}"

    def steps_in_line(self, name: str = "f") -> str:
        """In one line, and the steps in their order."""
        lines = "; ".join([*self._assignments(), f"return {VARIABLES[self.gives]}"])
        return f"def {name}({VARIABLES[self.takes]}): {lines}"

    def _assignments(self) -> list[str]:
        names = [VARIABLES[kind] for kind in self.types]
        return [
            f"{after} = {step.code(before)}"
            for step, before, after in zip(self.steps, names, names[1:], strict=False)
        ]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes the same pipeline of."""
        steps = [[step.primitive.keyword, step.constant] for step in self.steps]
        return {"types": list(self.types), "steps": steps}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        types = tuple(data["types"])
        steps = [
            Step(next(p for p in PRIMITIVES[before, after] if p.keyword == keyword), constant)
            for before, after, (keyword, constant) in zip(
                types, types[1:], data["steps"], strict=False
            )
        ]
        return cls(types, tuple(steps))

    def slips(self) -> Iterator[Self]:
        """The pipelines with one other constant or one other primitive of the same types."""
        for i, step in enumerate(self.steps):
            for primitive in PRIMITIVES[self.types[i], self.types[i + 1]]:
                for constant in primitive.constants:
                    if Step(primitive, constant) != step:
                        changed = (*self.steps[:i], Step(primitive, constant), *self.steps[i + 1 :])
                        yield replace(self, steps=changed)

    def slip(self, rng: Random, inputs: Sequence[Any]) -> Self:
        """One of the slips that give another result for one of the inputs at least.

        Raises:
            LookupError: none does.
        """
        slips = list(self.slips())
        rng.shuffle(slips)
        results = [self(value) for value in inputs]
        for slip in slips:
            if [slip(value) for value in inputs] != results:
                return slip
        raise LookupError(f"no slip in '{self.keywords()}' changes a result")


def draw_pipeline(
    rng: Random,
    takes: Type,
    n_steps: int,
    gives: Sequence[Type] = ("text", "numbers", "words", "number"),
) -> Pipeline:
    """A pipeline in which every step matters to what comes out."""
    while True:
        pipeline = _any_pipeline(rng, takes, n_steps)
        if pipeline is not None and pipeline.gives in gives and every_step_matters(pipeline):
            return pipeline


def _any_pipeline(rng: Random, takes: Type, n_steps: int) -> Pipeline | None:
    """None when a number, on which no step works, came before the end."""
    types: list[Type] = [takes]
    steps: list[Step] = []
    for _ in range(n_steps):
        known: list[tuple[Type, Primitive]] = [
            (after, primitive)
            for (before, after), found in PRIMITIVES.items()
            if before == types[-1]
            for primitive in found
        ]
        if not known:
            return None
        after, primitive = rng.choice(known)
        types.append(after)
        steps.append(Step(primitive, rng.choice(primitive.constants)))
    return Pipeline(tuple(types), tuple(steps))


def every_step_matters(pipeline: Pipeline) -> bool:
    """Without any one step something else comes out, and most inputs give results of their own."""
    inputs = samples(pipeline.takes)
    results = [pipeline(value) for value in inputs]
    if len({repr(result) for result in results}) <= len(inputs) // 2:
        return False
    for i, step in enumerate(pipeline.steps):
        if i and step.primitive is pipeline.steps[i - 1].primitive:
            return False  # twice the same in a row is one
        if pipeline.types[i] == pipeline.types[i + 1] and len(pipeline.steps) > 1:
            types = (*pipeline.types[:i], *pipeline.types[i + 1 :])
            shorter = Pipeline(types, (*pipeline.steps[:i], *pipeline.steps[i + 1 :]))
            if [shorter(value) for value in inputs] == results:
                return False
    return True


SYLLABLES = (
    "ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "so", "tor",
    "ast", "er", "is", "on",
)  # fmt: skip


def draw_word(rng: Random) -> str:
    return "".join(rng.choices(SYLLABLES, k=rng.randint(1, 3)))


def draw_input(rng: Random, kind: Type) -> Any:
    """A value of a type, with the repetitions and mixtures that tell primitives apart."""
    if kind == "numbers":
        return [rng.randint(-9, 20) for _ in range(rng.randint(5, 9))]
    if kind == "words":
        words = [draw_word(rng) for _ in range(rng.randint(4, 7))]
        return [*words, rng.choice(words)]
    if kind == "text":
        parts = [draw_word(rng) for _ in range(2)] + [
            draw_word(rng).upper(),
            str(rng.randint(0, 99)),
        ]
        rng.shuffle(parts)
        return rng.choice(("", " ")).join(parts)
    return rng.randint(0, 99)


@cache
def samples(kind: Type) -> tuple[Any, ...]:
    """Some values of a type, always the same: to see what a pipeline does. Not to be changed."""
    rng = Random(f"samples/{kind}")
    return tuple(draw_input(rng, kind) for _ in range(8))
