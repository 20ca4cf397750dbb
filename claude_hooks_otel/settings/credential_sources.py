"""The table ``[credentials]`` of the configuration file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from claude_hooks_otel.settings.signals import Signal
from claude_hooks_otel.settings.table import Table, Text


class CredentialsConfig(Table):
    """Headers with credentials that expire, for OTLP. At most one of the first three keys is set.

    No variable sets any of this: only the owner's file says which command runs.

    Attributes:
        headers_helper: a command that prints headers as a JSON object (``settings.credentials``); its first word is an absolute path.
        token_file: a file with a token. It is read again for every request.
        keyring: ``SERVICE/USER`` of a token in the keyring of the operating system.
        header: the header that carries the token of a file or of the keyring.
        value: its value: ``{token}`` stands for the token, ``{base64}`` for its Base64 form, as in ``Basic {base64}``.
        interval_seconds: how long what the helper or the keyring said is used, if it gave no time itself.
        timeout_seconds: how long the helper or the keyring may take.
        signals: the signals whose requests carry the headers.
    """

    headers_helper: Text | None = None
    token_file: Text | None = None
    keyring: Annotated[str, StringConstraints(pattern=r"^[^/]+/.+$")] | None = None
    header: Text = "Authorization"
    value: Annotated[str, StringConstraints(pattern=r"\{(token|base64)\}")] = "Bearer {token}"
    interval_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1740.0  # the client's: 29 minutes
    timeout_seconds: Annotated[float, Field(gt=0, le=300, allow_inf_nan=False)] = 10.0
    signals: tuple[Signal, ...] = tuple(Signal)

    @model_validator(mode="after")
    def _check(self) -> Self:
        sources = [name for name in ("headers_helper", "token_file", "keyring") if getattr(self, name)]
        if len(sources) > 1:
            raise ValueError(f"set only one of {' and '.join(sources)}")
        if self.token_file and not Path(self.token_file).expanduser().is_absolute():
            raise ValueError("token_file has to be an absolute path, or begin with ~/")
        if self.headers_helper:
            try:
                first = shlex.split(self.headers_helper)[0]
            except (ValueError, IndexError):
                raise ValueError("headers_helper is not a command line") from None
            if not Path(first).expanduser().is_absolute():
                raise ValueError("headers_helper has to begin with an absolute path, or with ~/")
        return self

    @property
    def is_set(self) -> bool:
        """Whether there is a source of headers."""
        return bool(self.headers_helper or self.token_file or self.keyring)
