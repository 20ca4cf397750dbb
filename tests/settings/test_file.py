"""The configuration file, and the variables that win over it."""

from __future__ import annotations

import os
import stat
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import (
    Config,
    ConfigError,
    DaemonConfig,
    IdentityConfig,
    PriceConfig,
    SeriesConfig,
    dump,
    load,
    save,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def write_config(home: Home, text: str | bytes) -> Home:
    home.root.mkdir(parents=True, exist_ok=True)
    home.config.write_bytes(text if isinstance(text, bytes) else text.encode())
    return home


def config_error(home: Home, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(home.config, environ or {})
    return str(caught.value)


def test_without_a_file_every_setting_has_its_default(home: Home) -> None:
    config = load(home.config, {})
    assert config == Config()
    assert config.identity == IdentityConfig(agent=None, project=None, team=None, sprint=None)
    assert config.daemon == DaemonConfig(idle_timeout_seconds=900, export_delay_seconds=1.0, retention_days=90)
    assert config.series.limit == 2000
    assert (config.projects, config.otel, config.prices) == ({}, {}, {})


def test_every_key_of_the_file_is_read(home: Home) -> None:
    write_config(
        home,
        """
        [identity]
        agent = "backend"
        project = "shop"
        team = "red"
        sprint = "2026-11"
        [agents]
        "/srv/shop/web" = "frontend"
        [projects]
        "/srv/shop" = "shop"
        [otel]
        OTEL_EXPORTER_OTLP_ENDPOINT = "http://collector:4317"
        OTEL_SDK_DISABLED = false
        OTEL_EXPORTER_OTLP_TIMEOUT = 5000
        [daemon]
        idle_timeout_seconds = 60
        export_delay_seconds = 0.5
        retention_days = 7
        [series]
        limit = 100
        [prices."claude-x-1.5"]
        input = 0.1
        output = 5
        cache_read = 0.01
        cache_write_5m = 0.125
        cache_write_1h = 0.2
        """,
    )
    config = load(home.config, {})
    assert config.identity == IdentityConfig(agent="backend", project="shop", team="red", sprint="2026-11")
    assert config.projects == {"/srv/shop": "shop"}
    assert config.otel == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
        "OTEL_SDK_DISABLED": "false",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "5000",
    }
    assert config.daemon == DaemonConfig(idle_timeout_seconds=60, export_delay_seconds=0.5, retention_days=7)
    assert config.series == SeriesConfig(limit=100)
    assert config.price_overrides() == {
        "claude-x-1.5": {
            "input": Decimal("0.1"),
            "output": Decimal(5),
            "cache_read": Decimal("0.01"),
            "cache_write_5m": Decimal("0.125"),
            "cache_write_1h": Decimal("0.2"),
        }
    }


def test_a_price_override_has_only_the_given_classes() -> None:
    config = Config(prices={"m": PriceConfig(input=Decimal(1), output=Decimal(2))})
    assert config.price_overrides() == {"m": {"input": Decimal(1), "output": Decimal(2)}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "agent = 'x'",
            "unknown key agent; known here: identity, labels, agents, projects, otel, environment, daemon, spool, series, metrics, traces, capture, outbox, monitoring, credentials, scores, budgets, prices",
        ),
        ("[daemon]\nidle_timout = 3", "unknown key daemon.idle_timout; known here: idle_timeout_seconds, export"),
        (
            "[prices.'m.1']\ninput=1\noutput=1\ncache=1",
            "unknown key prices.m.1.cache; known here: input, output, cache_read",
        ),
        ("[otel]\nENDPOINT = 'x'", "unknown key otel.ENDPOINT; known here: OpenTelemetry's variables, such as OTEL_"),
        ("[daemon]\nretention_days = 'soon'", "daemon.retention_days: input should be a valid integer"),
        ("[daemon]\nidle_timeout_seconds = 0", "daemon.idle_timeout_seconds: input should be greater than 0"),
        (
            "[daemon]\nexport_delay_seconds = -1",
            "daemon.export_delay_seconds: input should be greater than or equal to 0",
        ),
        ("[series]\nlimit = 0", "series.limit: input should be greater than or equal to 1"),
        ("[series]\nlimit = inf", "series.limit: "),
        ("[daemon]\nidle_timeout_seconds = nan", "daemon.idle_timeout_seconds: "),
        ("[prices.m]\ninput = -1\noutput = 1", "prices.m.input: input should be greater than or equal to 0"),
        ("[prices.m]\ninput = 1", "prices.m.output: field required"),
        ("[identity]\nagent = ' '", "identity.agent: string should have at least 1 character"),
        ("daemon = 1", "daemon: a table is expected here, written [daemon]"),
        ("otel = 'x'", "otel: a table is expected here, written [otel]"),
        ("a =", "not TOML: Invalid value"),
        (b"a = '\xff'", "not UTF-8 text"),
    ],
)
def test_an_invalid_file_is_an_error_that_names_the_file_and_what_is_expected(
    home: Home, text: str | bytes, expected: str
) -> None:
    message = config_error(write_config(home, text))
    assert message.startswith(f"{home.config}:\n")
    assert expected in message
    assert message.endswith("Correct it, or move it away to use the defaults.")


def test_an_error_shows_no_value(home: Home) -> None:
    """A value may be a secret, and logs have the message."""
    message = config_error(write_config(home, "[otel]\nOTEL_EXPORTER_OTLP_HEADERS = ['authorization=secret-token']"))
    assert "otel.OTEL_EXPORTER_OTLP_HEADERS" in message
    assert "secret-token" not in message
    assert "secret-token" not in repr(Config(otel={"OTEL_EXPORTER_OTLP_HEADERS": "secret-token"}))


def test_one_error_names_all_mistakes(home: Home) -> None:
    message = config_error(write_config(home, "x = 1\n[daemon]\ny = 2\nretention_days = 0"))
    assert message.count("\n  - ") == 3


def test_a_file_that_cannot_be_read_is_a_config_error(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(home, "")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root can read every file
    assert "cannot be read: Permission denied" in config_error(home)


def test_variables_win_over_the_file(home: Home) -> None:
    write_config(home, "[daemon]\nidle_timeout_seconds = 60\nretention_days = 7")
    config = load(
        home.config,
        {
            "CLAUDE_HOOKS_OTEL_DAEMON__IDLE_TIMEOUT_SECONDS": "2.5",
            "CLAUDE_HOOKS_OTEL_SERIES__LIMIT": "10",
            "CLAUDE_HOOKS_OTEL_DAEMON__EXPORT_DELAY_SECONDS": "",
        },
    )
    assert config.daemon == DaemonConfig(idle_timeout_seconds=2.5, retention_days=7)
    assert config.series.limit == 10


def test_an_error_names_the_invalid_variable(home: Home) -> None:
    message = config_error(home, {"CLAUDE_HOOKS_OTEL_SERIES__LIMIT": "many"})
    assert "series.limit (from CLAUDE_HOOKS_OTEL_SERIES__LIMIT): input should be a valid integer" in message
    message = config_error(home, {"CLAUDE_HOOKS_OTEL_SERIES__LIMITS": "1"})
    assert "unknown key series.limits (from CLAUDE_HOOKS_OTEL_SERIES__LIMITS); known here: limit" in message


def test_only_the_given_environment_counts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_SERIES__LIMIT", "10")
    assert load(home.config, os.environ).series.limit == 10
    assert load(home.config, {}).series.limit == 2000
    assert Config().series.limit == 2000


def test_the_deepest_listed_folder_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    config = Config(
        projects={"/srv": "all", "/srv/shop/": "shop", "~/work": "mine"},
        agents={"/srv/shop": "backend", "/srv/shop/web": "frontend"},
    )
    assert config.labels_for("/srv/shop/cart")["project"] == "shop"
    assert config.labels_for("/srv/shop")["project"] == "shop"
    assert config.labels_for("/srv/shopping")["project"] == "all"  # the folder must match, not only its first letters
    assert config.labels_for(Path("/home/ann/work/x"))["project"] == "mine"
    assert config.labels_for("/home/ann") == {"agent": None, "project": None}
    assert config.labels_for("/srv/shop/web/src") == {"agent": "frontend", "project": "shop"}


def test_dump_writes_only_values_that_were_set(home: Home) -> None:
    assert dump(Config()) == ""
    config = Config(identity=IdentityConfig(agent="backend"), daemon=DaemonConfig())
    assert dump(config) == '[identity]\nagent = "backend"\n'
    write_config(home, "[daemon]\nretention_days = 90\n")
    assert dump(load(home.config, {})) == "[daemon]\nretention_days = 90\n"  # a default value that was set stays


texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1).map(str.strip).filter(bool)
configs = st.builds(
    Config,
    identity=st.builds(IdentityConfig, agent=texts, team=texts),
    projects=st.dictionaries(texts, texts),
    otel=st.dictionaries(
        st.from_regex(r"OTEL_[A-Z0-9_]+", fullmatch=True), st.text(st.characters(exclude_categories=("Cs",)))
    ),
    daemon=st.builds(DaemonConfig, idle_timeout_seconds=st.floats(0.001, 1e9), retention_days=st.integers(1, 10**6)),
    prices=st.dictionaries(
        texts,
        st.builds(PriceConfig, input=st.decimals(0, 1000, places=6), output=st.decimals(0, 1000, places=6)),
    ),
)


@given(config=configs)
def test_a_loaded_dump_equals_the_configuration(config: Config) -> None:
    assert Config(**tomllib.loads(dump(config))) == config


def test_a_saved_file_loads_and_only_its_owner_can_read_it(home: Home) -> None:
    config = Config(otel={"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x"})
    save(home.config, config)
    assert load(home.config, {}) == config
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    home.config.chmod(0o644)
    save(home.config, config)
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600
    assert [path.name for path in home.root.iterdir()] == ["config.toml"]


def test_a_failed_save_keeps_the_old_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    save(home.config, Config(series=SeriesConfig(limit=5)))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(home.config, Config(series=SeriesConfig(limit=6)))
    assert load(home.config, {}).series.limit == 5
    assert [path.name for path in home.root.iterdir()] == ["config.toml"]


def test_save_writes_to_the_target_of_a_link(home: Home, tmp_path: Path) -> None:
    """A user may keep the file among other dotfiles."""
    target = tmp_path / "dotfiles" / "otel.toml"
    target.parent.mkdir()
    target.write_text("")
    home.root.mkdir()
    home.config.symlink_to(target)
    save(home.config, Config(series=SeriesConfig(limit=5)))
    assert home.config.is_symlink()
    assert "limit = 5" in target.read_text()


def test_with_changes_sets_and_removes_keys_and_keeps_the_rest() -> None:
    before = Config(identity=IdentityConfig(agent="a", team="t"), otel={"OTEL_A": "1", "OTEL_B": "2"})
    after = before.with_changes({"identity": {"agent": "b"}, "otel": {"OTEL_A": None, "OTEL_C": "3"}})
    assert after == Config(identity=IdentityConfig(agent="b", team="t"), otel={"OTEL_B": "2", "OTEL_C": "3"})
    assert before.identity.agent == "a"
    assert (
        dump(after.with_changes({"identity": {"agent": None, "team": None}, "otel": {"OTEL_B": None, "OTEL_C": None}}))
        == ""
    )


def test_with_changes_refuses_invalid_values() -> None:
    with pytest.raises(ConfigError, match=r"identity\.agent: string should have at least 1 character"):
        Config().with_changes({"identity": {"agent": ""}})
    with pytest.raises(ConfigError, match=r"unknown key foo"):
        Config().with_changes({"foo": {"bar": 1}})
