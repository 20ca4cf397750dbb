"""The format of a status line: text with fields in braces, and parts in brackets that are left out if a field in them is unknown."""

from __future__ import annotations

from claude_hooks_otel.report.statusline.fields import FIELDS

TYPE_CHECKING = False  # as in ``typing``, whose import takes longer than the whole line
if TYPE_CHECKING:
    from claude_hooks_otel.report.statusline.given import Given

DEFAULT = (
    "{model}[ · {context} context][ · {session_cost}][ · {day_cost} today][ · budget {budget}]"
    "[ · 5h {five_hour} (resets in {five_hour_resets})][ · week {week} (resets in {week_resets})]"
)
_GREEN, _YELLOW, _RED, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
# What stands for an unknown field outside of brackets.
_UNKNOWN = "–"


class FormatError(ValueError):
    """A format that cannot be used. The message says what is wrong with it."""


def parse_format(text: str) -> list[object]:
    r"""Return the parts of a format: texts, fields with their thresholds, and lists of parts between brackets.

    Args:
        text: the format. A sign with a meaning stands for itself if it is doubled, such as ``{{``; inside brackets, ``]`` always closes. ``\n`` begins a new line.

    Raises:
        FormatError: a field is unknown, or a brace or bracket has no counterpart.
    """
    text = text.replace("\\n", "\n")
    parts: list[object] = []
    open_parts = [parts]
    place = 0
    while place < len(text):
        sign = text[place]
        if sign in "{}[]" and text[place + 1 : place + 2] == sign and not (sign == "]" and len(open_parts) > 1):
            open_parts[-1].append(sign)
            place += 2
            continue
        if sign == "{":
            end = text.find("}", place)
            if end < 0:
                raise FormatError(f"the brace at {text[place : place + 20]!r} is not closed")
            open_parts[-1].append(_field(text[place + 1 : end]))
            place = end
        elif sign == "[":
            group: list[object] = []
            open_parts[-1].append(group)
            open_parts.append(group)
        elif sign == "]" and len(open_parts) > 1:
            open_parts.pop()
        elif sign in "}]":
            raise FormatError(f"{sign!r} closes nothing: write it twice if you mean the sign")
        else:
            open_parts[-1].append(sign)
        place += 1
    if len(open_parts) > 1:
        raise FormatError("a bracket is not closed: write it twice if you mean the sign")
    return parts


def _field(text: str) -> tuple[str, tuple[float, float] | None]:
    name, colon, limits = text.partition(":")
    if name not in FIELDS:
        raise FormatError(f"there is no field {{{name}}}. The fields are {', '.join(FIELDS)}")
    if not colon:
        return name, FIELDS[name][1]
    try:
        yellow, red = map(float, limits.split(","))
    except ValueError:
        raise FormatError(
            f"{{{text}}}: two numbers are expected behind the colon, from which on it is yellow and red, such as {{{name}:50,80}}"
        ) from None
    return name, (yellow, red)


def render(parts: list[object], given: Given, *, colour: bool) -> str:
    """Return the text of a status line.

    Args:
        parts: what ``parse_format`` returned.
        given: what is known.
        colour: whether fields with thresholds have a colour.
    """
    return _render(parts, given, colour=colour)[0]


def _render(parts: list[object], given: Given, *, colour: bool) -> tuple[str, bool]:
    """Return the text of some parts, and whether every field in them is known."""
    texts, complete = [], True
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, list):
            text, is_known = _render(part, given, colour=colour)
            if is_known:
                texts.append(text)
        elif isinstance(part, tuple):
            name, limits = part
            shown = FIELDS[name][0](given)
            if shown is None:
                complete = False
                texts.append(_UNKNOWN)
            else:
                texts.append(_coloured(*shown, limits if colour else None))
    return "".join(texts), complete


def _coloured(text: str, number: float | None, limits: tuple[float, float] | None) -> str:
    if limits is None or number is None:
        return text
    yellow, red = limits
    return f"{_RED if number >= red else _YELLOW if number >= yellow else _GREEN}{text}{_PLAIN}"
