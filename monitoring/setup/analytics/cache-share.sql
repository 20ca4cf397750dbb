-- The share of input tokens that the cache delivered, by month and model.
SELECT
    month,
    labels['model'] AS model,
    sumIf(growth, labels['cache'] = 'read') AS read,
    sum(growth) AS tokens,
    read / tokens AS share
FROM claude.growth_monthly
WHERE metric = 'claude.tokens.input'
GROUP BY month, model
HAVING tokens > 0
ORDER BY month, tokens DESC, model;
