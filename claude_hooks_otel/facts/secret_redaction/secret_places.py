"""Secrets that their place gives away: after a telling name, option or header, in a URL, after a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from claude_hooks_otel.facts.secret_redaction.plausible import has_digits, is_password, looks_random

# Names of secrets that people choose, and of secrets that machines make. A number of tokens is not a secret.
_CHOSEN: Final = r"pass(?:word|wd|phrase|code)|pwd|passw|[_.-]pass\b"
_MADE: Final = (
    r"secret(?-i:[A-Z_.0-9-][\w-]{0,40}|)|(?:auth|access|session|refresh|id|bot|api|csrf|deploy|bearer|personal|private)?[_.-]?token(?-i:[A-Z_.0-9-][\w-]{0,40}|)"
    r"|(?:api|app|access|account|private|preshared|shared|secret|auth|encryption|signing|master|license|storage|deploy|subscription|"
    r"client|service|admin|webhook|security|hmac)[_.\s-]?key(?:[_-][\w-]{0,20})?|client-key-data|credentials?|[_-]auth|x-[\w-]{0,20}(?:key|auth)|"
    r"\bsig|\bpass|bearer|dsn"
)
_NAME: Final = rf"(?i)((?:{_CHOSEN})[\w-]{{0,40}})|({_MADE})"

# The groups of ``ASSIGNED`` and ``OPTION``.
_CHOSEN_NAME: Final = 1
_MADE_NAME: Final = 2
_BY: Final = 3
_CHOSEN_SETTING: Final = 3
_MADE_SETTING: Final = 4
# A name and what connects it with its value. ``for …`` is in prompts, ``: str =`` in programs.
ASSIGNED: Final = (
    rf"(?:{_NAME})(?: for [^:\n]{{1,80}})?[\"'`\])]{{0,3}}"
    r"(?:[ \t]{0,8}:[ \t]?[A-Za-z_.\[\]| ]{1,30})?"
    r"[ \t]{0,20}(=>|:=|={1,3}|:)[ \t]{0,20}[^\s,;)}\]]"
)
# An option with a value in the next word, or a setting that a command sets.
OPTION: Final = (
    rf"(?:(?:^|[\s\"'])--?(?:[\w-]{{0,40}}[_-])?(?i:({_CHOSEN}|passin|passout|psk)|(token|secret|api-?key|access-?key|auth-?key|"
    r"auth-?token|account-?key|client-?secret|secret-?key|license-?key|key|app-?key|bearer|credentials?|auth))"
    r"|\bset[ \t]+[^\s=]{0,100}(?i:(password|passwd|secret)|(token|_key))\w{0,20})(?:[ \t]|[\"'],[ \t]?[\"'])[^\s\-]"
)

# When what stands in a place is a secret.
PLAUSIBLE: Final = "if it can be a password"
RANDOM: Final = "if it looks random"
DIGITS: Final = "if it has letters and digits"
ALWAYS: Final = "always"
# Kind, when it is a secret, and an expression whose only group is the secret.
PLACES: Final[tuple[tuple[str, str, str], ...]] = (
    # RFC 3986, RFC 7617, RFC 6750, RFC 6265
    ("basic-auth-credentials", PLAUSIBLE, r"[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@\"'<>`]{0,100}:([^\s/\"'<>`]{1,200})@"),
    ("authorization-header", PLAUSIBLE, r"(?i)\b(?:proxy-)?authorization[\"']?\s{0,5}[:=]\s{0,5}[\"']?(?:basic|bearer|token|digest|apikey|key|negotiate)(?:\s|%20){1,5}([^\s\"',;]{3,})"),
    ("authorization-header", RANDOM, r"(?i)\b(?:proxy-)?authorization[\"']?\s{0,5}[:=]\s{0,5}[\"']?([^\s\"',;]{8,})"),
    ("bearer-token", RANDOM, r"(?i)\bbearer\s{1,5}([\w\-.~+/]{12,}=*)"),
    ("basic-auth-credentials", RANDOM, r"(?i)\bbasic\s{1,5}([\w+/]{12,}={0,2})"),
    ("cookie", ALWAYS, r"(?i)\b(?:set-)?cookie[\"']?[ \t]{0,5}:[ \t]{0,5}[\"']?([\w.%-]{1,80}=[^\"'\r\n\\]{3,})"),
    ("cookie", ALWAYS, r"\bcurl\b[^\n]{0,200}?\s(?:-b|--cookie)[ =]{1,2}[\"']?([\w.%-]{1,80}=[^\"'\r\n\\]{3,})"),
    ("signed-url", RANDOM, r"(?i)[?&;](?:x-amz-signature|x-goog-signature|sig|signature|key|token|access_token|code|auth)=([^&\s\"'#<>]{12,})"),
    # command lines
    ("password", PLAUSIBLE, r"(?i)\b(?:curl|https?|xh|wget)\b[^\n]{0,200}?\s(?:-u|--user|-U|--proxy-user|-a|--auth)[ =]{0,2}[\"']?[^\s:\"']{1,100}:([^\s\"'/][^\s\"']{0,200})"),
    ("password", PLAUSIBLE, r"\b(?:mysql|mariadb)\w{0,12}\b[^\n|;&]{0,200}?\s-p[\"']?([^\s\"'=:/-][^\s\"']{2,100})"),
    ("password", PLAUSIBLE, r"\bsshpass\s{1,3}-p\s{0,3}[\"']?([^\s\"']{1,200})"),
    ("password", PLAUSIBLE, r"\b(?:login|az|twine|htpasswd)\b[^\n|;&]{0,200}?\s-p[ =]{1,3}[\"']?([^\s\"']{1,200})"),
    ("password", PLAUSIBLE, r"\bredis-cli\b[^\n|;&]{0,200}?\s-a[ =]{1,3}[\"']?([^\s\"']{1,200})"),
    ("password", PLAUSIBLE, r"\bldap(?:search|add|modify|passwd|whoami)\b[^\n|;&]{0,200}?\s-w[ =]{1,3}[\"']?([^\s\"']{1,200})"),
    ("password", PLAUSIBLE, r"-pass(?:in|out)?[ \t]{1,3}[\"']?pass:([^\s\"']{1,200})"),
    ("password", PLAUSIBLE, r"(?i)\bpassword[^\n]{0,40}?send(?:line)?\s{1,3}(?:--\s)?[\"']([^\s\"'\\]{3,200})"),
    ("password", PLAUSIBLE, r"(?:echo|printf|print)\s{1,3}(?:-\w{1,3}\s{1,3})?[\"']?([^\s\"'|\\]{3,200})(?:\\n|\s)?[\"']?\s{0,3}\|[^\n|]{0,100}(?:--password-stdin|sudo\s{1,3}-S|--with-token|--passphrase-fd|chpasswd|passwd\s{1,3}--stdin|ssh-add)"),
    ("password", PLAUSIBLE, r"(?i)convertto-securestring\s{1,3}(?:-string\s{1,3})?[\"']([^\"'\n]{1,200})"),
    ("secret", PLAUSIBLE, r"--from-literal[= ][\"']?[\w.-]{1,80}=[\"']?([^\s\"']{1,200})"),
    ("password", PLAUSIBLE, r"\b(?:zip|unzip|7za?|rar|unrar)\s[^\n|;&]{0,100}?-[Pp]\s?[\"']?([^\s\"']{3,200})"),
    ("password", PLAUSIBLE, r"\bhtpasswd\s{1,3}-\w{0,4}b\w{0,4}\s{1,3}\S{1,200}\s{1,3}\S{1,100}\s{1,3}[\"']?([^\s\"']{3,200})"),
    ("password", PLAUSIBLE, r"\b(?:chpasswd|vncpasswd|passwd)\b[^\n<]{0,40}<<<\s?[\"']?([^\s\"']{3,200})"),
    ("password", PLAUSIBLE, r"(?i)\bnet\s{1,3}use\s[^\n]{0,100}?/user:\S{1,100}\s{1,3}[\"']?([^\s\"'/]{3,200})"),
    ("password", PLAUSIBLE, r"\b(?:smbclient|rpcclient|smbmap|mount\.cifs)\s[^\n|;&]{0,100}?-U\s?[\"']?[^\s%\"']{1,80}%([^\s\"']{1,200})"),
    ("password", PLAUSIBLE, r"\bsnmp\w{2,12}\s[^\n|;&]{0,100}?-[AX]\s{1,3}[\"']?([^\s\"']{3,200})"),
    ("password", PLAUSIBLE, r"\brclone\s{1,3}obscure\s{1,3}[\"']?([^\s\"'-][^\s\"']{2,200})"),
    # files and languages
    ("password", PLAUSIBLE, r"(?i)\b(?:alter|create)\s{1,3}user\b[^\n;]{0,120}?\bidentified\s{1,3}by\s{1,3}\"([^\"\n]{1,200})"),
    ("password", DIGITS, r"(?i)\b(?:password|passphrase|passcode|passwd)(?:\s{1,3}(?:is|was|to)(?:\s{0,2}:)?)?\s{1,3}[\"'`]?([^\s\"'`,;]{6,200})"),
    ("password", PLAUSIBLE, r"(?i)\bidentified\s{1,5}(?:with\s{1,5}\S{1,40}\s{1,5})?(?:by|as)\s{1,5}(?:password\s{1,5})?'([^'\n]{1,200})"),
    ("password", PLAUSIBLE, r"(?i)\b(?:encrypted\s{1,5})?password\s{1,5}'([^'\n]{3,200})'"),
    ("password", PLAUSIBLE, r"(?i)\bpassword\s{0,2}\(\s{0,2}[\"']([^\"'\n]{3,200})[\"']"),
    ("password", PLAUSIBLE, r"\b(?:machine\s{1,5}\S{1,200}|default)\s{1,5}login\s{1,5}\S{1,200}\s{1,5}password\s{1,5}(\S{1,200})"),
    ("password", PLAUSIBLE, r"(?i)<[\w:.-]{0,40}(?:password|passwd|secret|token|api-?key)>([^<>\s]{3,200})</"),
    ("password", PLAUSIBLE, r"(?i)\bkey\s{0,2}=\s{0,2}[\"'][\w.:-]{0,60}(?:password|secret|token|apikey)[\w.-]{0,40}[\"']\s{1,5}value\s{0,2}=\s{0,2}[\"']([^\"'\n]{3,200})"),
    ("password", PLAUSIBLE, r"(?i)\bname[\"']?\s{0,3}:\s{0,3}[\"']?[\w.-]{0,60}(?:password|passwd|secret|token|api_?key)[\w.-]{0,40}[\"']?\s{0,3},?\s{0,40}[\"']?value[\"']?\s{0,3}:\s{0,3}[\"']?([^\s\"',{}]{3,200})"),
    ("secret", RANDOM, r"[\"']_?auth[\"']\s{0,5}:\s{0,5}[\"']([A-Za-z0-9+/_-]{12,}={0,2})"),
    ("token", RANDOM, r"(?i)\b(?:token|secret|key|credential|password)s?(?:[ \t]{2,40}|[ \t]{1,5}(?:is|was)[ \t]{1,5})[\"'`]?([A-Za-z0-9_+/.~!#*^-]{12,}={0,2})"),
    ("token", RANDOM, r"\b(?:[a-z]{1,20}[ _-])?(?:login|auth|token|apikey|api-key)[ \t]+([A-Za-z0-9_+/.-]{20,}={0,2})"),
)  # fmt: skip

# Python, Rust and C++ mark strings with letters before the quote.
_PREFIX_OF_STRING: Final = re.compile(rb"(?:[bfruBFRU]{1,2}(?=[\"']))?")
_VALUE: Final = re.compile(rb"[^\s\"'`,;&|<>(){}\[\]\\]+")
_BY_PEOPLE: Final = "password"
_QUOTES: Final = b"\"'`"
_LONGEST: Final = 2000  # bytes of a value in quotes
_JUDGED: Final = 200  # bytes of a value that say whether it is a secret

# Begin, end and kind of a secret.
Span = tuple[int, int, str]


_JUDGES: Final[dict[str, Callable[[bytes], bool]]] = {
    PLAUSIBLE: lambda value: is_password(value, quoted=True, in_code=False, ends_line=True),
    RANDOM: looks_random,
    DIGITS: has_digits,
    ALWAYS: bool,
}


def placed(kind: str, when: str) -> Callable[[bytes, Any], Iterator[Span]]:
    """Return what reads a match of one of ``PLACES``."""
    judge = _JUDGES[when]

    def read(_: bytes, match: Any) -> Iterator[Span]:
        if judge(match[1][:_JUDGED]):
            yield match.start(1), match.end(1), kind

    return read


def assigned(data: bytes, match: Any) -> Iterator[Span]:
    """Yield the value in a match of ``ASSIGNED``, if it is a secret."""
    begin, end, quoted = _value(data, match.end() - 1)
    value, after = data[begin : min(end, begin + _JUDGED)], data[end : end + 1]
    if not quoted and after in (b"(", b"["):  # a call
        return
    if match.start(_CHOSEN_NAME) < 0:
        if looks_random(value) or has_digits(value):
            yield begin, end, _kind(match[_MADE_NAME])
        return
    colon = match[_BY] == b":"
    spaced = not colon and data[match.start(_BY) - 1 : match.start(_BY)] in (b" ", b"\t")
    in_code = not quoted and (after in (b")", b",") or (spaced and after == b";"))
    ends_line = not (colon or spaced) or after in (b"", b"\r", b"\n", b"\\", b"}", b'"', b"'")
    if is_password(value, quoted=quoted, in_code=in_code, ends_line=ends_line):
        yield begin, end, _BY_PEOPLE


def options(data: bytes, match: Any) -> Iterator[Span]:
    """Yield the value in a match of ``OPTION``, if it is a secret."""
    begin, end, quoted = _value(data, match.end() - 1)
    value = data[begin : min(end, begin + _JUDGED)]
    if made := match[_MADE_NAME] or match[_MADE_SETTING]:
        if looks_random(value) or has_digits(value):
            yield begin, end, _kind(made)
    elif is_password(value, quoted=quoted, in_code=False, ends_line=True):
        yield begin, end, _BY_PEOPLE


def _value(data: bytes, at: int) -> tuple[int, int, bool]:
    """Return begin and end of the value at a position, and whether it stands in quotes."""
    prefix = _PREFIX_OF_STRING.match(data, at)
    begin = prefix.end() if prefix else at
    quote = data[begin : begin + 1]
    if quote and quote in _QUOTES:
        end = data.find(quote, begin + 1, begin + _LONGEST)
        line = data.find(b"\n", begin, begin + _LONGEST)
        if end > 0 and not 0 <= line < end:
            return begin + 1, end, True
        begin += 1
    unquoted = _VALUE.match(data, begin)
    return begin, unquoted.end() if unquoted else begin, False


def _kind(name: bytes) -> str:
    name = name.lower()
    return next((kind for kind in ("token", "secret", "key") if kind.encode() in name), "secret")
