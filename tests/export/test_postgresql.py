"""Each measurement is one row in a real PostgreSQL, also after failures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from claude_hooks_otel.export.custom.base import MetricRecord
from claude_hooks_otel.export.custom.postgresql import PostgreSQL
from claude_hooks_otel.export.custom.postgresql.migration import migrations
from claude_hooks_otel.export.custom.registry import build
from claude_hooks_otel.settings import ConfigError
from tests.support.postgresql_server import missing, server

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)


def measurement(
    number: int, name: str = "claude_commits_total", value: float = 1.0, at: datetime = NOON, **labels: str
) -> MetricRecord:
    labels = {"agent": "backend", "project": "shop", **labels}
    return MetricRecord(name, value, at, labels, "counter", "{x}", f"store:{number}")


@pytest.fixture
def exporter(database: str):
    made = build("postgresql", {"conninfo": database})
    assert isinstance(made, PostgreSQL)
    made.start()
    yield made
    made.shutdown()


def rows(database: str, query: str = "SELECT key, value FROM claude_metrics.measurement ORDER BY key"):
    with psycopg.connect(database) as connection:
        return connection.execute(query).fetchall()


def test_a_measurement_is_a_complete_row(exporter: PostgreSQL, database: str) -> None:
    exporter.export_batch([measurement(1, value=0.87, model='o"d\\d\té')])
    found = rows(database, "SELECT key, at, name, kind, unit, value, labels FROM claude_metrics.measurement")
    labels = {"agent": "backend", "project": "shop", "model": 'o"d\\d\té'}
    assert found == [("store:1", NOON, "claude_commits_total", "counter", "{x}", 0.87, labels)]


HOSTILE_TEXTS = (
    "x'); DROP TABLE claude_metrics.measurement; --",
    'a"b',
    "line\nfeed\r\ttab",
    "back\\slash",
    "\\.",
    "\\N",
    "$$",
    "{}",
    "%s",
    "x" * 100_000,
)


def test_hostile_text_is_a_value_and_nothing_else(exporter: PostgreSQL, database: str) -> None:
    exporter.export_batch([MetricRecord(text, 1.0, NOON, {text: text}, text, text, text) for text in HOSTILE_TEXTS])
    found = rows(database, "SELECT key, name, kind, unit, labels FROM claude_metrics.measurement")
    assert {row[0]: row[1:] for row in found} == {text: (text, text, text, {text: text}) for text in HOSTILE_TEXTS}


def test_text_that_postgresql_cannot_store_loses_only_the_offending_characters(
    exporter: PostgreSQL, database: str
) -> None:
    texts = ("NUL\0here", "half \ud83d pair")
    exporter.export_batch([MetricRecord(text, 1.0, NOON, {text: text}, text, text, text) for text in texts])
    assert {name for (name,) in rows(database, "SELECT name FROM claude_metrics.measurement")} == {
        "NULhere",
        "half ? pair",
    }


def test_a_hostile_name_of_the_schema_is_a_name(database: str) -> None:
    schema = 'x"; DROP SCHEMA public; --'
    made = build("postgresql", {"conninfo": database, "schema": schema})
    made.start()
    made.export_batch([measurement(1)])
    made.shutdown()
    assert rows(
        database,
        "SELECT nspname FROM pg_namespace WHERE nspname IN ('public', 'x\"; DROP SCHEMA public; --') ORDER BY 1",
    ) == [
        ("public",),
        (schema,),
    ]


def test_a_repeated_batch_adds_only_its_new_rows(exporter: PostgreSQL, database: str) -> None:
    exporter.export_batch([measurement(1), measurement(2)])
    exporter.export_batch([measurement(1), measurement(2), measurement(3)])
    exporter.export_batch([measurement(3), measurement(3), measurement(4)])
    assert [key for key, _ in rows(database)] == ["store:1", "store:2", "store:3", "store:4"]


def test_the_partition_of_a_month_is_created_in_advance_or_when_it_is_needed(
    exporter: PostgreSQL, database: str
) -> None:
    exporter.export_batch(
        [
            measurement(1),
            measurement(2, at=NOON + timedelta(days=1)),
            measurement(3, at=datetime(2019, 12, 31, 23, 59, tzinfo=UTC)),
        ]
    )
    found = dict(rows(database, "SELECT tableoid::regclass::text, count(*) FROM claude_metrics.measurement GROUP BY 1"))
    assert found == {f"claude_metrics.measurement_{month}": 1 for month in ("2026_03", "2026_04", "2019_12")}
    partitions = {
        name
        for (name,) in rows(
            database, "SELECT relid::text FROM pg_partition_tree('claude_metrics.measurement') WHERE isleaf"
        )
    }
    now = datetime.now(UTC)
    ahead = (now.replace(day=1) + timedelta(days=32)).strftime("%Y_%m")
    assert {f"claude_metrics.measurement_{now:%Y_%m}", f"claude_metrics.measurement_{ahead}"} <= partitions


def test_migrations_run_once_and_in_order(exporter: PostgreSQL, database: str) -> None:
    exporter.export_batch([measurement(1)])
    again = PostgreSQL(database)
    again.start()
    again.shutdown()
    assert rows(database, "SELECT number FROM claude_metrics.migration ORDER BY 1") == [
        (number,) for number, _, _ in migrations()
    ]
    assert len(rows(database)) == 1


def test_the_views_answer_the_common_questions(exporter: PostgreSQL, database: str) -> None:
    exporter.export_batch([
        measurement(1, "claude_api_cost_usd_total", 0.5), measurement(2, "claude_api_cost_usd_total", 0.25),
        measurement(3, "claude_tokens_input_total", 100, model="m"), measurement(4, "claude_tokens_output_total", 7, model="m"),
        measurement(5, "claude_tool_calls_total", 3, tool="bash", outcome="success"),
        measurement(6, "claude_tool_calls_total", 1, tool="bash", outcome="error"),
        measurement(7, "claude_tasks_completed_total", 2), measurement(8, "claude_tasks_failed_total", 1),
        measurement(9, "claude_story_points_delivered_total", 8), measurement(10, "claude_task_duration_seconds", 60),
    ])  # fmt: skip
    day = NOON.replace(hour=0)
    view = "SELECT * FROM claude_metrics."
    assert rows(database, f"{view}cost_per_agent_and_day") == [(day, "backend", "shop", 0.75)]
    assert rows(database, f"{view}tokens_per_model_and_day") == [(day, "m", 100, 7)]
    who = [measurement(11, "claude_api_cost_usd_total", 2, user="ann", machine="m1", team="core")]
    exporter.export_batch(who)
    assert rows(database, f"{view}cost_per_user_and_day ORDER BY dollars") == [
        (day, None, None, None, None, 0.75), (day, "core", "ann", "m1", None, 2),
    ]  # fmt: skip
    assert rows(database, f"{view}tool_error_share") == [(day, "bash", 4, 0.25)]
    assert rows(database, f"{view}task_throughput") == [(day, "backend", "shop", 2, 1, 8, 60)]


def test_no_message_has_the_password(unused_port: int) -> None:
    exporter = build("postgresql", {"conninfo": f"host=127.0.0.1 port={unused_port} password=sesame-open"})
    with pytest.raises(psycopg.OperationalError):
        exporter.start()
    with pytest.raises(ConfigError) as caught:
        build("postgresql", {"conninfo": "password=sesame-open", "schema": ""})
    assert "sesame" not in str(caught.value)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.skipif(bool(missing()), reason=missing() or "there is one")
def test_after_an_outage_of_the_server_every_row_is_there_once() -> None:
    with server() as own:
        exporter = PostgreSQL(own.conninfo)
        exporter.export_batch([measurement(1)])
        own.stop()
        for _ in range(2):
            with pytest.raises(psycopg.OperationalError):
                exporter.export_batch([measurement(2), measurement(3)])
        own.start()
        exporter.export_batch([measurement(1), measurement(2), measurement(3)])
        exporter.shutdown()
        assert [key for key, _ in rows(own.conninfo)] == ["store:1", "store:2", "store:3"]
