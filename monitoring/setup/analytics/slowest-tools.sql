-- How long tool calls took, from their spans: in [since, until), the tools with the longest 95th percentile first.
SELECT
    attributes['gen_ai.tool.name'] AS tool,
    count() AS calls,
    quantileExact(0.5)(seconds) AS median,
    quantileExact(0.95)(seconds) AS p95,
    max(seconds) AS longest,
    sum(seconds) AS total
FROM claude.span(since = {since:DateTime64(9, 'UTC')}, until = {until:DateTime64(9, 'UTC')})
WHERE attributes['gen_ai.operation.name'] = 'execute_tool'
GROUP BY tool
ORDER BY p95 DESC, tool;
