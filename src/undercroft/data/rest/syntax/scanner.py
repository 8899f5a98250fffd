"""A cursor over one parameter that remembers the furthest point it got stuck, and why.

Error texts name what was expected there, in the form that PostgREST's clients know.
"""

import re

from undercroft.data.rest.errors import RestError, parse_error
from undercroft.data.rest.syntax.ast import Field, JsonStep

_WORD = re.compile(r"[\w $]+")
_NAME = re.compile(r"[\w $]+(?:-(?!>)[\w $]+)*")
_QUOTED = re.compile(r'"((?:[^\\"]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPACE = re.compile(r"[ \t]*")
_JSON_INDEX = re.compile(r"-?[0-9]+(?=->|::|\.|,|$)")
_JSON_KEY = re.compile(r"[^(\-:.,>)]+(?:-(?!>)[^(\-:.,>)]+)*")

MAX_DEPTH = 50
FIELD_NAME = "field name (* or [a..z0..9_$])"


class Scanner:
    """`title` says what is being parsed; it opens the error message."""

    __slots__ = (
        "_culprit",
        "_depth",
        "_expected",
        "_furthest",
        "_saw_end",
        "position",
        "text",
        "title",
    )

    def __init__(self, text: str, title: str) -> None:
        self.text = text
        self.title = title
        self.position = 0
        self._furthest = 0
        self._expected: list[str] = []
        self._saw_end = False
        self._culprit = 0
        self._depth = 0

    def expect(self, *labels: str) -> None:
        """Note that `labels` would have been welcome here."""
        if self.position > self._furthest:
            self._furthest, self._expected, self._saw_end = self.position, [], False
            self._culprit = self.position
        if self.position == self._furthest:
            self._expected += [label for label in labels if label not in self._expected]

    def expect_end(self, *labels: str) -> None:
        self.expect(*labels, "end of input")
        self._saw_end = self._saw_end or self.position == self._furthest

    def forget(self) -> None:
        """Drop what was expected by a reading that has been given up for another."""
        self._furthest, self._expected, self._saw_end = self.position, [], False
        self._culprit = self.position

    def expect_word(self, word: str, *labels: str) -> None:
        """Like `expect`, blaming the character that made the text differ from `word`."""
        self.expect(*labels)
        while word and self.text[self._culprit : self._culprit + 1] == word[0]:
            self._culprit += 1
            word = word[1:]

    def error(self) -> RestError:
        """Describe the furthest point where the text could not be read on."""
        expected = self._expected
        *but_last, last = expected or ["valid input"]
        choices = f"{', '.join(but_last)} or {last}" if but_last else last
        where = f'"{self.title}" (line 1, column {self._furthest + 1})'
        return parse_error(where, f"unexpected {self._unexpected()} expecting {choices}")

    def _unexpected(self) -> str:
        if self._culprit >= len(self.text):
            return "end of input"
        character = self.text[self._culprit]
        return f"'{character}'" if self._saw_end else f'"{character}"'

    def open(self) -> None:
        """Enter a parenthesis. Nobody nests by the hundred but to exhaust our stack."""
        self.require("(")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise parse_error(f'"{self.title}"', f"nested more than {MAX_DEPTH} levels deep")

    def close(self) -> None:
        self.require(")")
        self._depth -= 1

    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def looking_at(self, text: str) -> bool:
        return self.text.startswith(text, self.position)

    def accept(self, text: str) -> bool:
        if self.text.startswith(text, self.position):
            self.position += len(text)
            return True
        self.expect(f'"{text}"')
        return False

    def require(self, text: str) -> None:
        if not self.accept(text):
            raise self.error()

    def skip_space(self) -> None:
        match = _SPACE.match(self.text, self.position)
        if match:
            self.position = match.end()

    def match(self, pattern: "re.Pattern[str]") -> "re.Match[str] | None":
        found = pattern.match(self.text, self.position)
        if found:
            self.position = found.end()
        return found

    def quoted(self) -> str | None:
        found = self.match(_QUOTED)
        return None if found is None else _ESCAPED.sub(r"\1", found.group(1))

    def word(self) -> str:
        """Read a run of letters, digits, `_`, `$` and spaces: a cast or a language."""
        found = self.match(_WORD)
        if found is None:
            self.expect("letter", "digit")
            raise self.error()
        return found.group().strip()

    def optional_name(self) -> str | None:
        quoted = self.quoted()
        if quoted is not None:
            return quoted
        found = self.match(_NAME)
        if found is None:
            self.expect(FIELD_NAME)
            return None
        return "-".join(part.strip() for part in found.group().split("-"))

    def name(self) -> str:
        name = self.optional_name()
        if name is None:
            raise self.error()
        return name

    def field(self) -> Field:
        self.skip_space()
        field = Field(self.name(), self.json_path())
        self.skip_space()
        return field

    def json_path(self) -> tuple[JsonStep, ...]:
        steps = []
        while self.looking_at("->"):
            as_text = self.looking_at("->>")
            self.position += 3 if as_text else 2
            steps.append(self._json_operand(as_text=as_text))
        return tuple(steps)

    def _json_operand(self, *, as_text: bool) -> JsonStep:
        index = self.match(_JSON_INDEX)
        if index is not None:
            return JsonStep(index.group(), is_index=True, as_text=as_text)
        if self.looking_at("-"):
            raise self._bad_index()
        quoted = self.quoted()
        if quoted is not None:
            return JsonStep(quoted, is_index=False, as_text=as_text)
        key = self.match(_JSON_KEY)
        if key is None:
            self.expect('"-"', "digit", "any non reserved character different from: .,>()")
            raise self.error()
        parts = (part.strip() for part in key.group().split("-"))
        return JsonStep("-".join(parts), is_index=False, as_text=as_text)

    def _bad_index(self) -> RestError:
        self.position += 1
        start = self.position
        while self.text[self.position : self.position + 1].isdecimal():
            self.position += 1
        if self.position == start:
            self.expect("digit")
        else:
            self.expect_end("digit", '"->"', '"::"', '"."', '","')
        return self.error()
