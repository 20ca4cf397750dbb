"""OpenTelemetry's variables: which of them count, and what they mean."""

from __future__ import annotations

import ast
import os
from typing import Any

import pytest

from claude_hooks_otel.home.paths import HOME_VARIABLE
from claude_hooks_otel.resource_attributes import resource_attributes
from claude_hooks_otel.settings import Config, OtelSettings, SamplerSettings, Signal, overlay, variables_in_effect
from claude_hooks_otel.settings.redaction import MASK, MAX_LENGTH, Redactor
from tests.support.places import ROOT

SECRET = "tok-3cr3t-value"
FILE = Config(otel={"OTEL_A": "file", "OTEL_B": "file", "OTEL_C": "file"})
SOMEWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}


def read(**variables: str) -> OtelSettings:
    return OtelSettings.from_variables(variables)


# --- which variables count ---


def test_process_variables_win_over_the_file_and_prefixed_variables_over_both() -> None:
    environ = {"OTEL_B": "process", "OTEL_C": "process", "OTEL_D": "process", "CLAUDE_HOOKS_OTEL_C": "prefixed"}
    assert variables_in_effect(FILE, environ) == {
        "OTEL_A": "file",
        "OTEL_B": "process",
        "OTEL_C": "prefixed",
        "OTEL_D": "process",
    }


def test_an_empty_value_counts_as_unset() -> None:
    """This is OpenTelemetry's rule. An empty value hides no value of a lower layer."""
    environ = {"OTEL_A": "", "CLAUDE_HOOKS_OTEL_B": " ", "OTEL_E": ""}
    assert variables_in_effect(FILE, environ) == {"OTEL_A": "file", "OTEL_B": "file", "OTEL_C": "file"}


def test_only_otel_variables_are_read() -> None:
    environ = {
        HOME_VARIABLE: "/x",
        "CLAUDE_HOOKS_OTEL_DAEMON__RETENTION_DAYS": "3",
        "CLAUDE_HOOKS_OTEL_SERIES__LIMIT": "3",
        "CLAUDE_AGENT_ID": "a",
        "PATH": "/bin",
        "CLAUDE_HOOKS_OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    }
    assert variables_in_effect(Config(), environ) == {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


def test_only_the_given_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "process")
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_SERVICE_NAME", "mine")
    assert OtelSettings.from_config(Config(), os.environ).service_name == "mine"
    assert OtelSettings.from_config(Config(), {}).service_name is None
    assert OtelSettings.from_variables({}).service_name is None


def test_only_cli_sdk_the_daemons_start_and_home_paths_read_the_environment() -> None:
    package = ROOT / "claude_hooks_otel"
    readers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "putenv"} and is_os(node.value)
    }
    edges = {name for name in readers if name.startswith(("cli/", "sdk/"))}
    assert readers - edges == {
        "daemon/adoption.py",
        "daemon/environment.py",
        "home/paths.py",
        "report/statusline/line.py",
    }


def is_os(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "os"


# --- exporters ---


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize(
    ("variables", "names", "is_requested"),
    [
        ({}, (), False),
        ({"OTEL_SERVICE_NAME": "x"}, (), False),
        (SOMEWHERE, ("otlp",), False),
        ({"OTEL_EXPORTER_OTLP_{SIGNAL}_ENDPOINT": "http://127.0.0.1:4317"}, ("otlp",), True),
        ({"OTEL_EXPORTER_OTLP_OTHERS_ENDPOINT": "http://127.0.0.1:4317"}, (), False),
        ({"OTEL_{SIGNAL}_EXPORTER": "otlp"}, ("otlp",), True),
        ({"OTEL_{SIGNAL}_EXPORTER": "console"}, ("console",), True),
        ({"OTEL_{SIGNAL}_EXPORTER": " OTLP , console, otlp"}, ("otlp", "console"), True),
        ({"OTEL_{SIGNAL}_EXPORTER": ""} | SOMEWHERE, ("otlp",), False),
        ({"OTEL_{SIGNAL}_EXPORTER": "none"} | SOMEWHERE, (), True),
        ({"OTEL_SDK_DISABLED": "TRUE", "OTEL_{SIGNAL}_EXPORTER": "console"} | SOMEWHERE, (), True),
        ({"OTEL_SDK_DISABLED": "yes"} | SOMEWHERE, ("otlp",), False),
    ],
)
def test_the_variables_choose_the_exporters_of_each_signal(
    variables: dict[str, str], names: tuple[str, ...], is_requested: bool, signal: Signal
) -> None:
    settings = read(**{name.format(SIGNAL=signal.upper()): value for name, value in variables.items()})
    found = settings.signals[signal]
    assert (found.exporters, found.is_requested, found.error) == (names, is_requested, None)
    assert (found.otlp is not None) == ("otlp" in names)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OTEL_METRICS_EXPORTER": "otlp,zipkin"}, "OTEL_METRICS_EXPORTER=otlp,zipkin: zipkin is not known; use otlp,"),
        ({"OTEL_METRICS_EXPORTER": "none,otlp"}, "use none alone, or the others without it"),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"} | SOMEWHERE,
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/json is not supported: use grpc or http/protobuf",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"}, "localhost:4318 has to begin with http:// or https://"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://host:port"}, "endpoint http://host:port is not a URL"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "http://[::1 is not a URL: set OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": f"x://u:{SECRET}@h:4318"},
            f"endpoint x://{MASK}@h:4318 has to begin with",
        ),
    ],
)
def test_an_unusable_setting_is_an_error_with_a_remedy(variables: dict[str, str], message: str) -> None:
    found = read(**variables).signals[Signal.METRICS]
    assert message in (found.error or "")
    assert SECRET not in (found.error or "")
    assert (found.exporters, found.otlp) == ((), None)


def test_an_error_of_one_signal_does_not_affect_the_others() -> None:
    settings = read(OTEL_TRACES_EXPORTER="oltp", **SOMEWHERE)
    assert [settings.signals[signal].exporters for signal in Signal] == [("otlp",), (), ("otlp",)]
    assert [settings.signals[signal].error is None for signal in Signal] == [True, False, True]


# --- other variables ---


@pytest.mark.parametrize(
    ("text", "seconds", "warned"),
    [
        ("", 60.0, False),
        ("5000", 5.0, False),
        ("0", 60.0, True),
        ("-1", 60.0, True),
        ("²", 60.0, True),
        ("9" * 5000, 60.0, True),
    ],
)
def test_the_export_interval_is_a_positive_number_of_milliseconds(text: str, seconds: float, warned: bool) -> None:
    settings = read(OTEL_METRIC_EXPORT_INTERVAL=text)
    assert settings.export_interval_s == seconds
    assert [warning.startswith(f"OTEL_METRIC_EXPORT_INTERVAL={text[:9]}") for warning in settings.warnings] == [
        True
    ] * warned


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("", "", SamplerSettings("parentbased_always_on", 1.0)),
        ("", "0.1", SamplerSettings("parentbased_always_on", 1.0)),
        ("Always_Off", "0.1", SamplerSettings("always_off", 1.0)),
        ("traceidratio", "", SamplerSettings("traceidratio", 1.0)),
        ("traceidratio", "0.25", SamplerSettings("traceidratio", 0.25)),
        ("parentbased_traceidratio", "0", SamplerSettings("parentbased_traceidratio", 0.0)),
    ],
)
def test_the_sampler_comes_from_two_variables(name: str, argument: str, expected: SamplerSettings) -> None:
    settings = read(OTEL_TRACES_SAMPLER=name, OTEL_TRACES_SAMPLER_ARG=argument)
    assert (settings.sampler, settings.warnings) == (expected, ())


@pytest.mark.parametrize(
    ("name", "argument", "named"),
    [
        ("sometimes", "", "sometimes"),
        ("traceidratio", "a tenth", "a tenth"),
        ("traceidratio", "1.5", "1.5"),
        ("parentbased_traceidratio", "nan", "nan"),
    ],
)
def test_with_an_invalid_sampler_or_ratio_everything_is_sent_and_a_warning_names_it(
    name: str, argument: str, named: str
) -> None:
    settings = read(OTEL_TRACES_SAMPLER=name, OTEL_TRACES_SAMPLER_ARG=argument)
    assert settings.sampler.ratio == 1.0
    (warning,) = settings.warnings
    assert named in warning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        (" a = 1 , b = 2 ,", {"a": "1", "b": "2"}),
        ("a=x%2Cy%3Dz%20w", {"a": "x,y=z w"}),
        ("a=%D0%B6", {"a": "ж"}),
        ("a%2Cb=1", {"a,b": "1"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=+", {"a": "+"}),
        ("a=100%", {"a": "100%"}),
        ("a=", {"a": ""}),
    ],
)
def test_resource_attributes_are_decoded_as_the_specification_requires(text: str, expected: dict[str, str]) -> None:
    assert resource_attributes(text) == expected
    assert read(OTEL_RESOURCE_ATTRIBUTES=text).resource_attributes == expected


@pytest.mark.parametrize("text", ["a", "a=1,b", "=1", "a=%FF"])
def test_undecodable_resource_attributes_are_all_left_out_with_a_warning(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        resource_attributes(text)
    settings = read(OTEL_RESOURCE_ATTRIBUTES=f"team=red,{text}")
    assert settings.resource_attributes == {}
    (warning,) = settings.warnings
    assert warning.startswith("OTEL_RESOURCE_ATTRIBUTES is left out: ")


# --- secrets ---


def test_the_repr_has_no_secret() -> None:
    settings = read(
        OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{SECRET}",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"https://ann:{SECRET}@host:4318",
        OTEL_EXPORTER_OTLP_TIMEOUT=SECRET,
        OTEL_METRIC_EXPORT_INTERVAL=SECRET,
    )
    sent: Any = settings.signals[Signal.METRICS].otlp
    assert sent.headers == {"authorization": f"Bearer {SECRET}"}
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing to hide", "nothing to hide"),
        (f"got {SECRET}!", f"got {MASK}!"),
        (f"got Bearer {SECRET}", f"got {MASK}"),
        ("got Bearer%20" + SECRET, f"got {MASK}"),
        ("at http://ann:pw@host/x", f"at http://{MASK}@host/x"),
        ("url: /v1/metrics?key=1 (Caused by", f"url: /v1/metrics?{MASK} (Caused by"),
        ("tenant 7 is full", "tenant 7 is full"),  # so short a value is not masked
        ("two\nlines  of\ttext", "two lines of text"),
    ],
)
def test_secrets_in_a_text_are_masked(text: str, expected: str) -> None:
    settings = read(OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{SECRET},x-tenant=7")
    assert settings.redact(text) == expected


def test_a_long_text_is_cut() -> None:
    text = Redactor()("x" * 10_000)
    assert len(text) == MAX_LENGTH
    assert text.endswith("…")


# --- credentials ---

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


@pytest.mark.parametrize(
    ("moving", "kept"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318"}, {}),
        ({"CLAUDE_HOOKS_OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318"}, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}, {"metrics": SECRET, "traces": SECRET, "logs": SECRET}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b:4318/v1/traces"}, {"metrics": SECRET, "logs": SECRET}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318", HEADERS: "authorization=new"}, dict.fromkeys(("metrics", "traces", "logs"), "new")),
    ],
)  # fmt: skip
def test_credentials_of_the_file_never_go_to_another_endpoint(moving: dict[str, str], kept: dict[str, str]) -> None:
    file = Config(otel={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", HEADERS: f"authorization={SECRET}"})
    signals = OtelSettings.from_config(file, moving).signals
    sent = {name: settings.otlp.headers.get("authorization") for name, settings in signals.items() if settings.otlp}
    assert {name: value for name, value in sent.items() if value} == kept


def test_headers_of_one_signal_stay_with_its_endpoint() -> None:
    lower = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:4318",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x=t",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "x=l",
    }
    assert overlay(lower, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318"}) == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:4318",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x=t",
    }
