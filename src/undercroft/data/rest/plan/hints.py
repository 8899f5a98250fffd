"""Suggests the name that was probably meant, by edit distance."""

import math
import re
from collections.abc import Iterable
from heapq import nlargest
from operator import itemgetter

_MOST_CANDIDATES = 500
_MOST_COMPARED = 50
_PUNCTUATION = re.compile(r"[^\w, ]|_")


def closest(name: str, candidates: Iterable[str], minimum: float = 0.33) -> str | None:
    """Return the most similar candidate, if its similarity (0 to 1) reaches `minimum`.

    Only names that share three letters in a row are looked at; failing those, two in a row. Among
    too many there is no suggestion: a mistake should not cost more than what was meant.
    """
    candidates = list(candidates)
    if len(candidates) > _MOST_CANDIDATES:
        return None
    near = [item for item in candidates if _length_ratio(name, item) >= minimum]
    for size in (3, 2):
        wanted = _runs(name, size)
        shared = ((_shared(wanted, _runs(item, size)), item) for item in near)
        alike = nlargest(_MOST_COMPARED, (pair for pair in shared if pair[0]), key=itemgetter(0))
        scored = [(similarity(name, item), item) for _, item in alike]
        best = max(scored, key=itemgetter(0), default=(0.0, ""))
        if scored and best[0] >= minimum:
            return best[1]
    return None


def _length_ratio(left: str, right: str) -> float:
    """Say how similar two texts can be at most."""
    return min(len(left), len(right)) / max(len(left), len(right), 1)


def _shared(wanted: set[str], runs: set[str]) -> float:
    return len(wanted & runs) / math.sqrt(len(runs) or 1)


def similarity(left: str, right: str) -> float:
    left, right = left.lower(), right.lower()
    return 1 - _distance(left, right) / max(len(left), len(right), 1)


def _runs(name: str, size: int) -> set[str]:
    letters = f"-{_PUNCTUATION.sub('', name.lower())}-"
    return {letters[index : index + size] for index in range(len(letters) - size + 1)}


def _distance(left: str, right: str) -> int:
    """Count the insertions, deletions and replacements between two texts (Levenshtein).

    By Myers' bit vectors: a column of the usual table at once, bit by bit the rises and falls in
    it, so that the time goes with the length of one text and not with that of both.
    """
    if not left:
        return len(right)
    places: dict[str, int] = {}
    for index, character in enumerate(left):
        places[character] = places.get(character, 0) | 1 << index
    column = (1 << len(left)) - 1
    last = 1 << (len(left) - 1)
    rises, falls, distance = column, 0, len(left)
    for character in right:
        same = places.get(character, 0)
        level = (((same & rises) + rises) ^ rises) | same | falls
        grows, shrinks = falls | ~(level | rises), rises & level
        distance += bool(grows & last) - bool(shrinks & last)
        grows, shrinks = grows << 1 | 1, shrinks << 1
        rises, falls = (shrinks | ~(level | grows)) & column, grows & level & column
    return distance
