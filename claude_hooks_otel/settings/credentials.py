"""Headers with credentials that expire: from a command, from a file or from the keyring of the operating system.

A headers helper prints one JSON object: the name of each header → its value, as Claude Code's ``otelHeadersHelper`` does (Claude Code's
documentation, "Monitoring", "Dynamic headers"). In addition, ``"expires_in"`` can give the seconds for which they are valid, as in OAuth 2
(RFC 6749, section 5.1).

No message repeats anything that a helper, a file or the keyring said.
"""

from __future__ import annotations

import base64
import json
import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from claude_hooks_otel.foreign_files import read_regular
from claude_hooks_otel.settings.credential_sources import CredentialsConfig
from claude_hooks_otel.settings.redaction import Redactor, header_values

EXPIRES_IN: Final = "expires_in"
# Bytes of a helper's output, of a token file and of a keyring's answer.
LONGEST_OUTPUT: Final = 1 << 16
# Headers are renewed before they expire: a request takes a while. Seconds, and at most this share of their validity.
_MARGIN, _MARGIN_SHARE = 30.0, 0.1
# Where programs are looked for. A daemon's own PATH may come from a session, and a project can set the variables of a session.
_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class CredentialError(Exception):
    """There are no headers. The message says why, without anything secret, and what to do."""


class Credentials:
    """The headers of one installation. All exporters of a process share them. Methods may be called from any thread.

    Args:
        config: where the headers come from.
        environment: the variables that the owner's file sets for processes. Of others, a helper gets only HOME.
        redact: learns every secret.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        config: CredentialsConfig,
        environment: Mapping[str, str],
        redact: Redactor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._environment = {"HOME": os.path.expanduser("~"), "PATH": _PATH, **environment}  # noqa: PTH111 -- it raises nothing
        self._redact = redact
        self._clock = clock
        self._lock = threading.Lock()
        self._headers: dict[str, str] | None = None
        self._valid_until = 0.0
        self._running: subprocess.Popen[bytes] | None = None

    def describe(self) -> str:
        """Return where the headers come from, for people."""
        config = self._config
        if config.headers_helper:
            return f"headers from the helper {shlex.split(config.headers_helper)[0]}"
        place = f"the file {config.token_file}" if config.token_file else f"the keyring entry {config.keyring}"
        return f"{config.header} from {place}"

    def headers(self, timeout_s: float) -> dict[str, str]:
        """Return the headers, by lower-case name. The helper runs only if those of its last run are not valid any more.

        Args:
            timeout_s: how long this may take.

        Raises:
            CredentialError: there are none.
        """
        if not self._lock.acquire(timeout=max(0.0, timeout_s)):
            raise CredentialError(f"{self.describe()}: another request still waits for it")
        try:
            if self._config.token_file or self._headers is None or self._clock() >= self._valid_until:
                self._read(timeout_s)
            return dict(self._headers or {})
        finally:
            self._lock.release()

    def refused(self, used: Mapping[str, str]) -> None:
        """Forget headers that an endpoint did not accept, unless newer ones are known already."""
        with self._lock:
            if self._headers == used:
                self._headers = None

    def interrupt(self) -> None:
        """End a helper that runs now, from another thread."""
        if (process := self._running) is not None:
            _kill(process)

    def _read(self, timeout_s: float) -> None:
        self._headers = None
        timeout_s = min(timeout_s, self._config.timeout_seconds)
        valid_s = self._config.interval_seconds
        if self._config.headers_helper:
            first, *rest = shlex.split(self._config.headers_helper)
            output = self._run([os.path.expanduser(first), *rest], timeout_s)  # noqa: PTH111 -- a command, not a path
            headers, given_s = self._parsed(output)
            if given_s is not None:
                valid_s = given_s - min(_MARGIN, given_s * _MARGIN_SHARE)
        else:
            headers = {self._config.header.lower(): self._value(self._token(timeout_s))}
        self._redact.remember(header_values(headers))
        self._headers, self._valid_until = headers, self._clock() + valid_s

    def _token(self, timeout_s: float) -> str:
        if self._config.token_file:
            try:
                content = read_regular(Path(self._config.token_file).expanduser(), LONGEST_OUTPUT)
            except OSError as error:
                raise CredentialError(f"{self.describe()} cannot be read: {error.strerror}") from None
        else:
            service, _, user = (self._config.keyring or "").partition("/")
            content = self._run([sys.executable, "-m", "keyring", "get", service, user], timeout_s)
        token = content.decode("utf-8", "replace").strip()
        if not token or not token.isprintable():
            raise CredentialError(f"{self.describe()}: there is no token, or it is not one line of text")
        self._redact.remember([token])
        return token

    def _value(self, token: str) -> str:
        encoded = base64.b64encode(token.encode()).decode()
        self._redact.remember([encoded])
        return self._config.value.replace("{token}", token).replace("{base64}", encoded)

    def _parsed(self, output: bytes) -> tuple[dict[str, str], float | None]:
        """Return the headers that a helper printed, and the seconds for which they are valid; None if it did not say."""
        try:
            printed = json.loads(output)
        except ValueError:
            printed = None
        if not isinstance(printed, dict):
            raise CredentialError(f"{self.describe()}: its output is not a JSON object")
        expires_in = printed.pop(EXPIRES_IN, None)
        if expires_in is not None and (isinstance(expires_in, bool) or not isinstance(expires_in, int | float)):
            raise CredentialError(f"{self.describe()}: {EXPIRES_IN} is not a number of seconds")
        for name, value in printed.items():
            if not (_NAME.fullmatch(name) and isinstance(value, str) and value.isascii() and value.isprintable()):
                raise CredentialError(f"{self.describe()}: not every member is a header with a text of printable ASCII")
        return {name.lower(): value.strip() for name, value in printed.items()}, expires_in

    def _run(self, command: list[str], timeout_s: float) -> bytes:
        """Return what a command prints, within the time and at most LONGEST_OUTPUT. If it takes longer, it ends with all that it started."""
        by_hand = "Run it by hand to see more."
        try:
            self._running = process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=self._environment, cwd="/", start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise CredentialError(f"{self.describe()} cannot be started: {error.strerror}") from None
        try:
            output = _output(process, time.monotonic() + timeout_s)
            if output is None:
                raise CredentialError(f"{self.describe()}: not finished within {timeout_s:.3g} s. {by_hand}")
            if len(output) > LONGEST_OUTPUT:
                raise CredentialError(f"{self.describe()}: more than {LONGEST_OUTPUT} bytes of output")
            if process.wait() != 0:
                raise CredentialError(f"{self.describe()}: exit code {process.returncode}. {by_hand}")
            return output
        finally:
            _kill(process)
            process.wait()
            self._running = None
            if process.stdout is not None:
                process.stdout.close()


def _output(process: subprocess.Popen[bytes], deadline: float) -> bytes | None:
    """Return what a process prints until it closes its output, a little more than LONGEST_OUTPUT at most; None if the time is over."""
    assert process.stdout is not None  # noqa: S101 -- it is a pipe
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(output) <= LONGEST_OUTPUT:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            if not (part := os.read(process.stdout.fileno(), LONGEST_OUTPUT)):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
                    return output
                return None
            output += part
    return output


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process that has not ended, and those that it started. Its group has its id, because it began a session of its own."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
