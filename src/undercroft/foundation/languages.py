"""Which language a caller reads, and a problem's words in it."""

from undercroft.foundation.problems import Problem


def negotiate(accept_language: str | None, preferred: str | None = None) -> str:
    """The best of our languages for this caller."""
    del accept_language, preferred
    return "en"


def translate_problem(problem: Problem, language: str) -> tuple[str, str]:
    """Title and detail of `problem` in `language`."""
    del language
    return problem.title, problem.sentence()
