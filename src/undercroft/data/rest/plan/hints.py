"""Suggests the name that was probably meant, by edit distance."""

import re
from collections.abc import Iterable

_PUNCTUATION = re.compile(r"[^\w, ]|_")


def closest(name: str, candidates: Iterable[str], minimum: float = 0.33) -> str | None:
    """Return the most similar candidate, if its similarity (0 to 1) reaches `minimum`.

    Only names that share three letters in a row are looked at; failing those, two in a row.
    """
    candidates = list(candidates)
    for size in (3, 2):
        wanted = _runs(name, size)
        alike = [candidate for candidate in candidates if wanted & _runs(candidate, size)]
        scored = [(similarity(name, candidate), candidate) for candidate in alike]
        best = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
        if scored and best[0] >= minimum:
            return best[1]
    return None


def similarity(left: str, right: str) -> float:
    left, right = left.lower(), right.lower()
    return 1 - _distance(left, right) / max(len(left), len(right), 1)


def _runs(name: str, size: int) -> set[str]:
    letters = f"-{_PUNCTUATION.sub('', name.lower())}-"
    return {letters[index : index + size] for index in range(len(letters) - size + 1)}


def _distance(left: str, right: str) -> int:
    """Count the insertions, deletions and replacements between two texts (Levenshtein)."""
    previous = list(range(len(right) + 1))
    for row, left_character in enumerate(left, 1):
        current = [row]
        for column, right_character in enumerate(right, 1):
            replace = previous[column - 1] + (left_character != right_character)
            current.append(min(previous[column] + 1, current[-1] + 1, replace))
        previous = current
    return previous[-1]
