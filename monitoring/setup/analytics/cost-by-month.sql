-- Dollars by month, team, user and model. `user` is empty unless [labels] puts it on metrics.
SELECT month, labels['team'] AS team, labels['user'] AS user, labels['model'] AS model, sum(growth) AS usd
FROM claude.growth_monthly
WHERE metric = 'claude.api.cost.usd'
GROUP BY month, team, user, model
HAVING usd > 0
ORDER BY month, usd DESC, team, user, model;
