"""Whether the problems of an evaluation, or their like, were among the tasks trained on.

Two signs, on the text that the policy was shown:
- copied: 13 words in a row in common, the measure of arXiv:2005.14165 (appendix C); of a problem
  with fewer, all of it, as whole sentences
- same template: the same words throughout once every number is replaced

Case, punctuation and layout do not matter. What a problem has in common with other problems of the
evaluation, such as the instruction at the end, says nothing and does not count; nor does another
instruction before or after the same question in training. Where a script puts no spaces between
words, every character counts as one.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from rl.errors import UserError
from rl.evaluation.scores import Answer, by_problem, counted, families, mean_score
from rl.evaluation.statistics import Estimate, mean_over_problems

N_WORDS = 13
FEWEST_WORDS = 5  # of a problem that is looked for among other sentences: "How many are left?" is
# in common between problems that have nothing else in common
NUMBER = "0"  # in place of every number

Words = tuple[str, ...]

# Thai and Lao, Tibetan, Burmese, Khmer, Japanese kana, Chinese characters.
_UNSPACED = (
    r"\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_BLANK_LINES = re.compile(r"\n\s*\n")
# Or of what may stand around a sentence: quotes, brackets, markup.
_SENTENCE_END = re.compile(r"[.!?:;](?!\d)|[。！？：；]|\n|[\"“”„«»()\[\]|]|\*\*|</?\w{1,10}>")  # noqa: RUF001
# A number with its point and commas, a character of a script without spaces, a run of letters, or a
# sign that changes what is asked.
_WORD = re.compile(rf"\d+(?:[.,]\d+)*|(?![\W\d_])[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+|[-+*/^=<>]")


@dataclass(frozen=True, slots=True)
class Contamination:
    """Which problems of an evaluation were met in training; keys as they were given."""

    problems: int  # looked at
    trained: int  # different texts trained on
    copied: frozenset[str]
    same_template: frozenset[str]

    @property
    def met(self) -> frozenset[str]:
        return self.copied | self.same_template

    @property
    def sentence(self) -> str:
        """For a person."""
        if not self.met:
            return (
                f"none of {self.problems:,} problems has {N_WORDS} words in a row, all of a "
                "shorter one, or its template in common with the "
                f"{self.trained:,} tasks trained on"
            )
        return (
            f"of {self.problems:,} problems {len(self.copied):,} have {N_WORDS} words in a row (or "
            f"all of a shorter one) and {len(self.same_template):,} their template in common with "
            f"the {self.trained:,} tasks trained on"
        )

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Contamination":
        copied, same = frozenset(found["copied"]), frozenset(found["same_template"])
        return cls(found["problems"], found["trained"], copied, same)

    def to_json(self) -> dict[str, Any]:
        return {
            "problems": self.problems,
            "trained": self.trained,
            "copied": sorted(self.copied),
            "same_template": sorted(self.same_template),
            "sentence": self.sentence,
        }


def contamination(problems: Mapping[str, str], trained: Iterable[str]) -> Contamination:
    """Look for the problems of an evaluation among texts trained on.

    problems: text by key. trained: texts in any number; they are read once and not kept. Memory
    grows with the problems, time with both.
    """
    own = _own_words(problems)
    owner = _only_owners(own)
    templates: dict[Words, set[str]] = {}
    for key, words in own.items():
        templates.setdefault(_template(words), set()).add(key)
    copied, same_template, seen = set[str](), set[str](), set[int]()
    for text in trained:
        if hash(text) in seen:
            continue
        seen.add(hash(text))
        for words in _readings(text):
            same_template |= templates.get(_template(words), set())
            copied |= {owner[gram] for gram in _grams(words) if gram in owner}
        copied |= {owner[words] for words in _sentences(text) if words in owner}
    return Contamination(len(problems), len(seen), frozenset(copied), frozenset(same_template))


def trained_on(run_dir: Path) -> Iterator[str]:
    """The texts of the tasks that a run trained on, from its stored answers, each as often as it
    was answered. A warm start's demonstrations are not among them.

    Raises:
        UserError: a line is no answer.
    """
    file = run_dir / "samples.jsonl"
    if not file.exists():
        return
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return  # the run is writing it, or was killed then
            try:
                row = json.loads(line)
                text = text_of(row["prompt"]) if row["split"] == "train" else None
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{file}, line {number} is no answer: {error!r}") from error
            if text is not None:
                yield text


def text_of(prompt: str | Sequence[Mapping[str, str]]) -> str:
    """What a task shows, as a stored answer has it: one text, or messages."""
    return prompt if isinstance(prompt, str) else "\n\n".join(m["content"] for m in prompt)


def met_json(answers: Sequence[Answer], found: Contamination) -> dict[str, Any]:
    """What an evaluation's summary says of it."""
    rest = score_without(answers, found)
    return found.to_json() | {"avg_at_k_without": rest and rest._asdict()}


def score_without(answers: Sequence[Answer], found: Contamination) -> Estimate | None:
    """avg@k over the problems that were not met in training; None where all were."""
    rest = by_problem([answer for answer in answers if answer.problem not in found.met])
    groups = [judged for group in rest.values() if (judged := counted(group))]
    if not groups:
        return None
    return mean_over_problems([mean_score(group) for group in groups], families(groups))


def _paragraphs(text: str) -> list[Words]:
    found = [tuple(_WORD.findall(part)) for part in _BLANK_LINES.split(text.lower())]
    return [words for words in found if words]


def _joined(paragraphs: Iterable[Words]) -> Words:
    return tuple(chain.from_iterable(paragraphs))


def _own_words(problems: Mapping[str, str]) -> dict[str, Words]:
    """By problem, its words without the paragraphs that another one has as well."""
    paragraphs = {key: _paragraphs(text) for key, text in problems.items()}
    counts = Counter(p for found in paragraphs.values() for p in set(found))
    return {
        key: _joined(p for p in found if counts[p] == 1) or _joined(found)
        for key, found in paragraphs.items()
    }


def _readings(text: str) -> set[Words]:
    """The words of a text trained on, and those without its first, last, or both paragraphs, which
    may be instructions."""
    found = _paragraphs(text)
    parts = (found, found[1:], found[:-1], found[1:-1])
    return {_joined(part) for part in parts if part}


def _template(words: Words) -> Words:
    return tuple(NUMBER if word[0].isdigit() else word for word in words)


def _grams(words: Words) -> Iterator[Words]:
    """All runs of N_WORDS words; of a shorter text the whole."""
    if 0 < len(words) < N_WORDS:
        yield tuple(words)
    yield from zip(*(words[i:] for i in range(N_WORDS)), strict=False)


def _sentences(text: str) -> Iterator[Words]:
    """The words of all runs of whole sentences, as far as they are fewer than N_WORDS."""
    parts = (tuple(_WORD.findall(part)) for part in _SENTENCE_END.split(text.lower()))
    sentences = [words for words in parts if words]
    for start in range(len(sentences)):
        run: Words = ()
        for sentence in sentences[start : start + N_WORDS]:
            run += sentence
            if len(run) >= N_WORDS:
                break
            if len(run) >= FEWEST_WORDS:
                yield run


def _only_owners(problems: Mapping[str, Words]) -> dict[Words, str]:
    """By run of words, the one problem that has it."""
    owner: dict[Words, str] = {}
    shared = set[Words]()
    for key, words in problems.items():
        for gram in set(_grams(words)):
            if owner.setdefault(gram, key) != key:
                shared.add(gram)
    return {gram: key for gram, key in owner.items() if gram not in shared}
