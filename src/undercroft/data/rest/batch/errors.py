"""What can go wrong with a batch, in the error body of the rows API plus the step it is about.

UCB100: the whole body; UCB101: a step as written; UCB102: a reference when its step ran;
UCB103: it took too long. UCB104, its Idempotency-Key, is that of single writes (`answers.py`).
"""

from undercroft.data.rest.errors import RestError

# PostgREST answers these with 500, though it is the statements that bring them about.
_THEIRS = frozenset({"21", "22", "2D", "38", "39", "40", "54", "55", "P0"})


def malformed(message: str) -> RestError:
    return RestError(400, "UCB100", message)


def unresolved(message: str) -> RestError:
    return RestError(400, "UCB102", message)


def too_long(seconds: float) -> RestError:
    return RestError(503, "UCB103", f"The batch took longer than {seconds:g} seconds")


def step_error(error: RestError, number: int, ref: str | None) -> RestError:
    """Say which step it was. Nothing of the batch was kept."""
    error.members = {"step": number, "ref": ref}
    if error.status >= 500 and error.code[:2] in _THEIRS:
        error.status = 409 if error.code[:2] == "40" else 400
    return error
