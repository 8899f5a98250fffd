"""Functions that are replaced as a whole after every upgrade, so that no version repeats them."""

from importlib.resources import files


def scripts() -> list[str]:
    found = sorted(files(__name__).iterdir(), key=lambda entry: entry.name)
    return [entry.read_text("utf-8") for entry in found if entry.name.endswith(".sql")]
