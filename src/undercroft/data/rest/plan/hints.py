"""Suggests the name that was probably meant, by edit distance."""

from collections.abc import Iterable


def closest(name: str, candidates: Iterable[str], minimum: float = 0.33) -> str | None:
    """Return the most similar candidate, if its similarity (0 to 1) reaches `minimum`."""
    scored = [(similarity(name, candidate), candidate) for candidate in candidates]
    best = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
    return best[1] if best[0] >= minimum else None


def similarity(left: str, right: str) -> float:
    """Score two names; those without two letters in a row in common are not alike at all."""
    left, right = left.lower(), right.lower()
    if not _pairs(left) & _pairs(right):
        return 0.0
    return 1 - _distance(left, right) / max(len(left), len(right))


def _pairs(name: str) -> set[str]:
    padded = f"-{name}-"
    return {padded[index : index + 2] for index in range(len(padded) - 1)}


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
