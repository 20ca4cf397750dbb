-- The sessions in [since, until), the most expensive first: dollars, requests and tool calls, from their spans.
SELECT
    attributes['session.id'] AS session,
    any(attributes['claude.agent']) AS agent,
    any(attributes['claude.project']) AS project,
    min(started) AS began,
    sum(toFloat64OrZero(attributes['claude.cost.usd'])) AS usd,
    countIf(attributes['gen_ai.operation.name'] = 'chat') AS requests,
    countIf(attributes['gen_ai.operation.name'] = 'execute_tool') AS tool_calls
FROM claude.span(since = {since:DateTime64(9, 'UTC')}, until = {until:DateTime64(9, 'UTC')})
GROUP BY session
ORDER BY usd DESC, session;
