-- One row per measurement. `key` identifies it. `at` is part of the primary key because rows are partitioned by it.
CREATE TABLE {schema}.measurement (
    key text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    unit text NOT NULL,
    value double precision NOT NULL,
    labels jsonb NOT NULL,
    PRIMARY KEY (key, at)
) {partitioning};
COMMENT ON TABLE {schema}.measurement IS
    'What claude-hooks-otel measured: additions to counters, observations of histograms, values of gauges at a time.';
CREATE INDEX measurement_at ON {schema}.measurement USING brin (at);
