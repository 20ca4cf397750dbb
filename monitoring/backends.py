"""Writes docs/backends/ from ``claude_hooks_otel/settings/backends.toml``: ``python -m monitoring.backends``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from claude_hooks_otel.settings.backends import PREFIX, Backend, Fact, KnownError, backends

PAGES = Path(__file__).resolve().parents[1] / "docs" / "backends"
SOURCE = "claude_hooks_otel/settings/backends.toml"

_INTRODUCTION = f"""\
# Backends

How to send telemetry straight to a backend, without a Collector. All pages here come from [one data file](../../{SOURCE}), which
`install --backend` and `doctor` read, too. Each fact names the page of the vendor that says so and the day on which it was read there.
*Unverified* means that no such page was found.

```sh
claude-hooks-otel install --backend grafana-cloud --set region=prod-eu-west-2 --key-from file:~/.config/grafana-token
claude-hooks-otel doctor
```

In a terminal, `install` asks for a parameter or a key that is missing. The key never stands on the command line. `--key-from` says where it
is: `file:PATH`, `keyring:SERVICE/USER`, `helper:COMMAND` ([credentials that expire](../configuration.md#credentials-that-expire)), or
`variable:NAME`. Only with the last one, and after a prompt, `install` writes it into `config.toml`, which only its owner can read.

`doctor` sends each endpoint a request without data, and explains the backend's typical errors: a key of another region, a missing right, a
temporality that is not taken.
"""


def _value(text: str) -> str:
    return text.replace("|", "\\|")


def _source(row: Fact | KnownError) -> str:
    return f"[{row.date}]({row.source})" if row.source else "*unverified*"


def index() -> str:
    """Return the page about all backends."""
    lines = [_INTRODUCTION, "| backend | name | signals | protocol | temporality |", "|---|---|---|---|---|"]
    for name, backend in backends().items():
        only = ", nothing else" if backend.needs_temporality else ""
        lines.append(
            f"| [{backend.title}]({name}.md) | `{name}` | {', '.join(backend.signals)} | `{backend.protocol}` | "
            f"{backend.temporality}{only} |"
        )
    return "\n".join([*lines, ""])


def page(name: str, backend: Backend) -> str:
    """Return the page about one backend."""
    return "\n".join([*_setup(name, backend), *_configuration(backend), *_tables(backend), ""])


def _setup(name: str, backend: Backend) -> Iterator[str]:
    yield f"# {backend.title}\n"
    yield f"<!-- Written by `python -m monitoring.backends` from {SOURCE}. -->\n"
    parameters = "".join(f" \\\n  --set {parameter}=…" for parameter in backend.parameters)
    yield f"```sh\nclaude-hooks-otel install --backend {name}{parameters} \\\n  --key-from file:PATH\n```\n"
    yield "| to give | what it is |\n|---|---|"
    for parameter, meaning in backend.parameters.items():
        yield f"| `{parameter}` | {_value(meaning)} |"
    yield f"| key | {_value(backend.key.is_)} |\n"
    if backend.notes:
        yield backend.notes.strip() + "\n"


def _configuration(backend: Backend) -> Iterator[str]:
    filled = backend.variables({parameter: parameter.upper() for parameter in backend.parameters})
    yield "## Configuration\n\n`install` writes this. What is in capital letters is yours.\n"
    yield "```toml\n[otel]"
    for variable, value in filled.items():
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        yield f'{variable} = "{quoted}"'
    key, form = backend.key.header, backend.key.value
    yield f'\n[credentials]\ntoken_file = "PATH"\nheader = "{key}"\nvalue = "{form}"\n```\n'
    if f"{PREFIX}METRICS_HEADERS" in filled:
        yield "The headers of `[credentials]` are added to those of every signal.\n"


def _tables(backend: Backend) -> Iterator[str]:
    yield "## Facts\n\n| about | fact | source, read on |\n|---|---|---|"
    for fact in backend.facts:
        yield f"| {fact.about} | {_value(fact.says)} | {_source(fact)} |"
    yield "\n## Errors that `doctor` explains\n\n| answer | meaning | source, read on |\n|---|---|---|"
    for known in backend.errors:
        yield f"| `{_value(known.match)}` | {_value(known.means)} | {_source(known)} |"


def pages() -> dict[str, str]:
    """Return the name of each file → its content."""
    return {"README.md": index()} | {f"{name}.md": page(name, backend) for name, backend in backends().items()}


def main() -> None:
    """Write all pages."""
    PAGES.mkdir(exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text, encoding="utf-8")
        print(PAGES / name)


if __name__ == "__main__":
    main()
