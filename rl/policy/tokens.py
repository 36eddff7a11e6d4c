"""Whether two models mean the same by a token id."""

from pathlib import Path

from rl.errors import UserError


def refuse_other_tokens(policy: Path, other: Path, key: str, model: str) -> None:
    """Raises UserError where a token id of the policy means something else to the other model.

    Args:
        policy: directory of the policy.
        other: directory of the other model.
        key: of the recipe, which names the other model.
        model: its value.
    """
    from transformers import AutoTokenizer

    own, theirs = (AutoTokenizer.from_pretrained(path).get_vocab() for path in (policy, other))
    differing = sorted((i, token) for token, i in own.items() if theirs.get(token) != i)
    if not differing:
        return
    i, token = differing[0]
    meaning = {number: text for text, number in theirs.items()}.get(i)
    instead = "nothing" if meaning is None else repr(meaning)
    raise UserError(
        f"{key} '{model}' has other tokens than the policy: {len(differing):,} of {len(own):,} "
        f"differ, for example {i}, which is {token!r} to the policy and {instead} to it. It would "
        "judge another text than the one that was sampled: give a model of the policy's family"
    )
