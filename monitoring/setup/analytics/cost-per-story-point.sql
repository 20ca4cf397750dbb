-- Dollars for each delivered story point, by month and team. A team without delivered points has none.
SELECT
    month,
    labels['team'] AS team,
    sumIf(growth, metric = 'claude.api.cost.usd') AS usd,
    sumIf(growth, metric = 'claude.story_points.delivered') AS story_points,
    if(story_points > 0, usd / story_points, NULL) AS usd_per_story_point
FROM claude.growth_monthly
WHERE metric IN ('claude.api.cost.usd', 'claude.story_points.delivered')
GROUP BY month, team
ORDER BY month, team;
