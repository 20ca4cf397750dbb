"""The tokens of a team's gateway: ``python -m monitoring.tokens FILE add NAME``, ``revoke NAME``, ``expire`` and ``list``.

A line of the file is a token, a name and the time at which the token expires. The Collector's ``bearertokenauth`` takes the first word
of each line, ignores the rest, and reads the file again when it changes. It knows no expiry. So a timer runs ``expire``, which removes
the tokens whose time has come (docs/team.md). The Collector keeps its old tokens if the file becomes empty or disappears. So a file
without tokens gets a line that nobody knows.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

DEFAULT_DAYS: Final = 90
_CLOSED: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Token:
    """One accepted token.

    Attributes:
        secret: What a machine sends after ``Bearer``.
        name: Whose token it is: a machine or a person.
        expires: When it expires.
    """

    secret: str
    name: str
    expires: datetime

    def __str__(self) -> str:
        return f"{self.secret} {self.name} {self.expires.isoformat(timespec='seconds')}"


class TokenFileError(Exception):
    """A line of the file is not a token with a name and a time."""


def read(path: Path) -> list[Token]:
    """Return the tokens of a file. A file that does not exist has none.

    Raises:
        TokenFileError: A line has no name or no time. The message has the line's number, not its content.
    """
    tokens = []
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, start=1):
        try:
            secret, name, *expires = line.split()
            if name != _CLOSED:
                tokens.append(Token(secret, name, datetime.fromisoformat(expires[0]).astimezone(UTC)))
        except (ValueError, IndexError):
            raise TokenFileError(f"{path}, line {number}: not `TOKEN NAME TIME`") from None
    return tokens


def write(path: Path, tokens: Iterable[Token]) -> None:
    """Replace the file at once, readable by its owner and group as before. A new file has mode 0600."""
    lines = [str(token) for token in tokens] or [f"{secrets.token_urlsafe(32)} {_CLOSED}"]
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if path.exists():
            kept = path.stat()
            os.fchmod(descriptor, kept.st_mode & 0o640)
            os.fchown(descriptor, kept.st_uid, kept.st_gid)
        file.write("".join(f"{line}\n" for line in lines))
    Path(name).replace(path)


def add(path: Path, name: str, days: float, now: datetime) -> Token:
    """Add a new token and return it."""
    token = Token(secrets.token_urlsafe(32), name, (now + timedelta(days=days)).replace(microsecond=0))
    write(path, [*read(path), token])
    return token


def remove(path: Path, gone: Iterable[Token]) -> list[Token]:
    """Remove tokens and return them. Without any, the file stays untouched."""
    removed = list(gone)
    if removed:
        write(path, [token for token in read(path) if token not in removed])
    return removed


def expire(path: Path, now: datetime) -> list[Token]:
    """Remove the tokens that have expired, and return them."""
    return remove(path, [token for token in read(path) if token.expires <= now])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.tokens", description="Keep the tokens of a team's gateway."
    )
    parser.add_argument("file", type=Path, help="the gateway's GATEWAY_TOKEN_FILE")
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add", help="add a token and print it")
    adding.add_argument("name", help="whose token it is: a machine or a person")
    adding.add_argument(
        "--days", type=float, default=DEFAULT_DAYS, help=f"days until it expires (default: {DEFAULT_DAYS})"
    )
    commands.add_parser("revoke", help="remove the tokens of a name").add_argument("name")
    commands.add_parser("expire", help="remove the tokens that have expired")
    commands.add_parser("list", help="list names and times, without the tokens")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    chosen = _parser().parse_args(arguments)
    now = datetime.now(UTC)
    try:
        match chosen.command:
            case "add":
                if len(chosen.name.split()) != 1 or chosen.name == _CLOSED:
                    print(f"A name is one word, and not {_CLOSED!r}.", file=sys.stderr)
                    return 2
                print(add(chosen.file, chosen.name, chosen.days, now).secret)
            case "revoke":
                removed = remove(chosen.file, [token for token in read(chosen.file) if token.name == chosen.name])
                if not removed:
                    print(f"No token is named {chosen.name!r}.", file=sys.stderr)
                    return 1
            case "expire":
                for token in expire(chosen.file, now):
                    print(f"expired: {token.name} ({token.expires:%Y-%m-%d %H:%M} UTC)")
            case _:
                for token in read(chosen.file):
                    print(f"{token.name}\t{token.expires:%Y-%m-%d %H:%M} UTC")
    except (TokenFileError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
