-- Common questions. Days are those of the session's time zone.
CREATE VIEW {schema}.cost_per_agent_and_day AS
SELECT date_trunc('day', at) AS day, labels ->> 'agent' AS agent, labels ->> 'project' AS project, sum(value) AS dollars
FROM {schema}.measurement WHERE name = 'claude_api_cost_usd_total' GROUP BY 1, 2, 3;

CREATE VIEW {schema}.tokens_per_model_and_day AS
SELECT date_trunc('day', at) AS day, labels ->> 'model' AS model,
    sum(value) FILTER (WHERE name = 'claude_tokens_input_total') AS input_tokens,
    sum(value) FILTER (WHERE name = 'claude_tokens_output_total') AS output_tokens
FROM {schema}.measurement WHERE name IN ('claude_tokens_input_total', 'claude_tokens_output_total') GROUP BY 1, 2;

CREATE VIEW {schema}.tool_error_share AS
SELECT date_trunc('day', at) AS day, labels ->> 'tool' AS tool, sum(value) AS calls,
    coalesce(sum(value) FILTER (WHERE labels ->> 'outcome' = 'error'), 0) / nullif(sum(value), 0) AS error_share
FROM {schema}.measurement WHERE name = 'claude_tool_calls_total' GROUP BY 1, 2;

CREATE VIEW {schema}.task_throughput AS
SELECT date_trunc('day', at) AS day, labels ->> 'agent' AS agent, labels ->> 'project' AS project,
    coalesce(sum(value) FILTER (WHERE name = 'claude_tasks_completed_total'), 0) AS completed,
    coalesce(sum(value) FILTER (WHERE name = 'claude_tasks_failed_total'), 0) AS failed,
    coalesce(sum(value) FILTER (WHERE name = 'claude_story_points_delivered_total'), 0) AS story_points,
    avg(value) FILTER (WHERE name = 'claude_task_duration_seconds') AS mean_seconds
FROM {schema}.measurement
WHERE name IN ('claude_tasks_completed_total', 'claude_tasks_failed_total', 'claude_story_points_delivered_total',
    'claude_task_duration_seconds')
GROUP BY 1, 2, 3;

CREATE VIEW {schema}.counter_total AS
SELECT name, labels, sum(value) AS total, min(at) AS first_at, max(at) AS last_at
FROM {schema}.measurement WHERE kind = 'counter' GROUP BY 1, 2;

CREATE VIEW {schema}.gauge_latest AS
SELECT DISTINCT ON (name, labels) name, labels, value, at
FROM {schema}.measurement WHERE kind = 'gauge' ORDER BY name, labels, at DESC;
