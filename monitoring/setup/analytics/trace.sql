-- The spans of one trace, in order of time. The exporter's table otel_traces_trace_id_ts says when they were, in whole seconds.
WITH
    (SELECT toDateTime64(min(Start), 9) FROM claude.otel_traces_trace_id_ts WHERE TraceId = {trace:String}) AS first,
    (SELECT toDateTime64(max(End), 9) FROM claude.otel_traces_trace_id_ts WHERE TraceId = {trace:String}) AS last
SELECT Timestamp AS started, SpanId AS id, ParentSpanId AS parent, SpanName AS name, Duration / 1e9 AS seconds, StatusCode AS status
FROM claude.otel_traces
WHERE TraceId = {trace:String} AND Timestamp >= first AND Timestamp < last + INTERVAL 1 SECOND
ORDER BY started, id
LIMIT 1 BY id;
