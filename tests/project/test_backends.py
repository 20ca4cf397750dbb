"""The pages about backends come from the data file, and each fact in it says where it is from."""

from __future__ import annotations

import re
import tomllib

import pytest

from claude_hooks_otel.settings import Config, OtelSettings, Signal
from claude_hooks_otel.settings.backends import Backend, backend_of, backends
from claude_hooks_otel.settings.credential_sources import CredentialsConfig
from monitoring.backends import PAGES, pages

EACH = pytest.mark.parametrize(("name", "backend"), backends().items(), ids=list(backends()))
ASKED_FOR = {
    "grafana-cloud", "datadog", "honeycomb", "new-relic", "dynatrace", "signoz", "dash0", "langfuse", "elastic", "azure-monitor",
    "google-cloud",
}  # fmt: skip


def test_the_pages_are_up_to_date() -> None:
    """Run: python -m monitoring.backends."""
    assert {path.name: path.read_text(encoding="utf-8") for path in PAGES.iterdir()} == pages()


def test_the_data_file_has_every_backend_of_the_index() -> None:
    assert set(backends()) == ASKED_FOR


@EACH
def test_every_row_has_a_date_and_a_source_or_counts_as_unverified(name: str, backend: Backend) -> None:
    page = pages()[f"{name}.md"]
    for row in (*backend.facts, *backend.errors):
        assert not row.source or re.fullmatch(r"https://[\w.-]+/\S+", row.source)
    assert page.count("*unverified*") == sum(not row.source for row in (*backend.facts, *backend.errors))


@EACH
def test_facts_speak_of_everything_that_is_filled_in(name: str, backend: Backend) -> None:
    del name
    assert {"endpoint", "protocol", "headers", "temporality", "signals"} <= {fact.about for fact in backend.facts}


@EACH
def test_the_configuration_of_a_page_exports_the_signals_that_the_backend_takes(name: str, backend: Backend) -> None:
    text = re.search(r"```toml\n(.*?)```", pages()[f"{name}.md"], re.DOTALL)
    assert text
    config = tomllib.loads(text[1].replace('"PATH"', '"/run/token"'))
    otel = OtelSettings.from_config(
        Config(otel=config["otel"], credentials=CredentialsConfig(**config["credentials"])), {}
    )
    assert otel.warnings == ()
    for signal in Signal:
        settings = otel.signals[signal]
        assert (settings.error, bool(settings.otlp)) == (None, signal in backend.signals)
        if settings.otlp:
            assert (settings.otlp.protocol, settings.otlp.warnings) == (backend.protocol, ())
    metrics = otel.signals[Signal.METRICS].otlp
    assert metrics is None or metrics.temporality == backend.temporality


@EACH
def test_an_address_of_a_backend_is_recognized(name: str, backend: Backend) -> None:
    del name
    for host in backend.hosts:
        for address in (f"https://{host.replace('*', 'eu')}/v1/traces", f"{host.replace('*', 'eu')}:443"):
            assert backend_of(address) == backend


@pytest.mark.parametrize("address", ["http://localhost:4318", "collector.example.com:4317", "https://api.example.com"])
def test_any_other_address_belongs_to_no_backend(address: str) -> None:
    assert backend_of(address) is None
