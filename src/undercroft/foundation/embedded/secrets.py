"""Secrets of a home, generated once and kept in one file that only its owner can read."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Self

from pydantic import SecretStr

from undercroft.foundation.crypto import new_secret
from undercroft.foundation.embedded.errors import HomeUnusable
from undercroft.foundation.embedded.home import Home
from undercroft.foundation.settings import Settings


@dataclass(frozen=True, slots=True)
class HomeSecrets:
    secret_key: str
    postgres_superuser_password: str
    postgres_password: str
    valkey_password: str

    @classmethod
    def generate(cls) -> Self:
        return cls(*(new_secret() for _ in fields(cls)))

    @classmethod
    def of(cls, home: Home) -> Self:
        """Those of this home; made now when it is new."""
        if (existing := cls.read(home)) is not None:
            return existing
        if home.postgres.exists():
            raise HomeUnusable(
                f"{home.secrets_file} is missing, and without it nothing can open the database "
                "beside it: restore it from a backup."
            )
        made = cls.generate()
        home.owner.write_file(home.secrets_file, json.dumps(asdict(made), indent=2) + "\n")
        return made

    @classmethod
    def read(cls, home: Home) -> Self | None:
        """Those of this home, `None` when it has none yet."""
        try:
            return cls(**json.loads(home.secrets_file.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise HomeUnusable(
                f"{home.secrets_file} cannot be read ({type(error).__name__}): "
                "restore it from a backup, or start as the user it belongs to."
            ) from error

    @classmethod
    def key_for(cls, home: Home, settings: Settings) -> SecretStr:
        """The secret key as it is set; else the home's own, so that nothing unused is made."""
        return settings.secret_key or SecretStr(cls.of(home).secret_key)

    def __repr__(self) -> str:
        return "HomeSecrets(…)"
