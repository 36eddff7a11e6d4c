"""What the sections of a recipe are made of: bounded numbers, and mistakes between keys."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]
Width = Annotated[int, Field(ge=16, multiple_of=8)]  # vLLM's kernels on CPUs want multiples of 8


class Clash(ValueError):
    """Values that are allowed each, but not together.

    Args:
        message: complete, with whole key paths and the values found.
        keys: the keys that clash, seen from the section that finds it; the mistake is reported
            where one of them was written.
    """

    def __init__(self, message: str, *keys: str) -> None:
        super().__init__(message)
        self.keys = keys


class Clashes(ValueError):
    """All that a section finds among its parts."""

    def __init__(self, found: Sequence[Clash]) -> None:
        super().__init__("; ".join(map(str, found)))
        self.found = found


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
