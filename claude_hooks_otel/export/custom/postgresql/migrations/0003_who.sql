-- Who worked, and where. The columns are empty for what was counted without these labels ([labels] in the configuration).
CREATE VIEW {schema}.cost_per_user_and_day AS
SELECT date_trunc('day', at) AS day, labels ->> 'team' AS team, labels ->> 'user' AS "user", labels ->> 'machine' AS machine,
    labels ->> 'organization' AS organization, sum(value) AS dollars
FROM {schema}.measurement WHERE name = 'claude_api_cost_usd_total' GROUP BY 1, 2, 3, 4, 5;
