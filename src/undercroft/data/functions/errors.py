"""What can go wrong with a function or a trigger."""

from undercroft.foundation.problems import Conflict, Invalid, NotFound, Problem


class DefinitionNotFound(NotFound):
    title = "No such function or trigger"


class DefinitionInvalid(Invalid):
    title = "The definition is not valid"
    detail = "{reason}"

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason)


class DefinitionExists(Conflict):
    title = "The function or trigger exists already"
    detail = "There is '{name}' already."

    def __init__(self, name: str) -> None:
        super().__init__(name=name)


class DefinitionInUse(Conflict):
    title = "Others depend on it"
    detail = "{reason}"

    def __init__(self, reason: str, dependents: list[str]) -> None:
        super().__init__(reason=reason, dependents=dependents)


class VersionChanged(Problem):
    status = 412
    title = "Somebody else changed it meanwhile"
    detail = "The version is {version} now."

    def __init__(self, version: int) -> None:
        super().__init__(version=version)
