-- Run it once, after the exporter of setup/team/analytics.yml has made its tables: clickhouse-client --multiquery < schema.sql
--
-- Our counters never reset, so the largest value of an hour is the total at its end, however often the exporter repeats a row.

CREATE TABLE IF NOT EXISTS claude.total_hourly
(
    hour DateTime('UTC'),
    metric LowCardinality(String),
    instance LowCardinality(String),
    labels Map(LowCardinality(String), String),
    total SimpleAggregateFunction(max, Float64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (metric, instance, labels, hour);

CREATE MATERIALIZED VIEW IF NOT EXISTS claude.total_hourly_of_sums TO claude.total_hourly AS
SELECT
    toStartOfHour(toDateTime(TimeUnix, 'UTC')) AS hour,
    MetricName AS metric,
    ResourceAttributes['service.instance.id'] AS instance,
    Attributes AS labels,
    max(Value) AS total
FROM claude.otel_metrics_sum
WHERE IsMonotonic AND AggregationTemporality = 2
GROUP BY hour, metric, instance, labels;

-- The number and the sum of a histogram's observations, as claude.tool.duration.count and claude.tool.duration.sum.
CREATE MATERIALIZED VIEW IF NOT EXISTS claude.total_hourly_of_histograms TO claude.total_hourly AS
SELECT
    toStartOfHour(toDateTime(TimeUnix, 'UTC')) AS hour,
    concat(MetricName, '.', part.1) AS metric,
    ResourceAttributes['service.instance.id'] AS instance,
    Attributes AS labels,
    max(part.2) AS total
FROM claude.otel_metrics_histogram
ARRAY JOIN [('count', toFloat64(Count)), ('sum', Sum)] AS part
WHERE AggregationTemporality = 2
GROUP BY hour, metric, instance, labels;

-- What each series grew by in each month, UTC. A series begins at zero.
CREATE VIEW IF NOT EXISTS claude.growth_monthly AS
SELECT
    month,
    metric,
    instance,
    labels,
    total - lagInFrame(total, 1, 0) OVER (PARTITION BY metric, instance, labels ORDER BY month ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS growth
FROM
(
    SELECT toStartOfMonth(hour) AS month, metric, instance, labels, max(total) AS total
    FROM claude.total_hourly
    GROUP BY month, metric, instance, labels
);

-- What each series grew by from the hour `since` to before the hour `until`:
--   SELECT sum(growth) FROM claude.growth(since = '2026-11-02 00:00:00', until = '2026-11-09 00:00:00') WHERE metric = 'claude.sessions'
CREATE VIEW IF NOT EXISTS claude.growth AS
SELECT metric, instance, labels, max(total) - maxIf(total, hour < {since:DateTime('UTC')}) AS growth
FROM claude.total_hourly
WHERE hour < {until:DateTime('UTC')}
GROUP BY metric, instance, labels;

-- The spans that began in [since, until), each once, although an export may arrive twice. The parameters have Timestamp's type: ClickHouse
-- skips parts for DateTime parameters as if `< 12:00:01` meant `<= 12:00:00`, and loses the rows between.
CREATE VIEW IF NOT EXISTS claude.span AS
SELECT
    Timestamp AS started,
    TraceId AS trace,
    SpanId AS id,
    ParentSpanId AS parent,
    SpanName AS name,
    Duration / 1e9 AS seconds,
    StatusCode AS status,
    SpanAttributes AS attributes,
    ResourceAttributes['service.instance.id'] AS instance
FROM claude.otel_traces
WHERE Timestamp >= {since:DateTime64(9, 'UTC')} AND Timestamp < {until:DateTime64(9, 'UTC')}
LIMIT 1 BY TraceId, SpanId;
