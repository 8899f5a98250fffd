"""Suggests the name that was probably meant, by edit distance."""

from collections.abc import Iterable


def closest(name: str, candidates: Iterable[str], minimum: float = 0.33) -> str | None:
    """Return the most similar candidate, if its similarity (0 to 1) reaches `minimum`."""
    scored = [(similarity(name, candidate), candidate) for candidate in candidates]
    best = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
    return best[1] if best[0] >= minimum else None


def similarity(left: str, right: str) -> float:
    left, right = left.lower(), right.lower()
    longest = max(len(left), len(right))
    return 1 - _distance(left, right) / longest if longest else 1.0


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
