-- Tool calls and the share of those that failed, by month and tool.
SELECT
    month,
    labels['tool'] AS tool,
    sum(growth) AS calls,
    sumIf(growth, labels['outcome'] != 'success') AS failed,
    failed / calls AS share
FROM claude.growth_monthly
WHERE metric = 'claude.tool.calls'
GROUP BY month, tool
HAVING calls > 0
ORDER BY month, failed DESC, calls DESC, tool;
