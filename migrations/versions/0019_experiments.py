"""Live experiments: how each was designed, what was measured of it, and how it ended."""

from alembic import op

revision = "0019"
down_revision = "0023"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE experiment (
    name text NOT NULL,
    design jsonb NOT NULL,
    starts_at timestamptz NOT NULL,
    workflow_id text NOT NULL,
    run_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT experiment_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE experiment IS 'A live experiment: users on two channels, compared day by day';
COMMENT ON COLUMN experiment.name IS 'Never used twice';
COMMENT ON COLUMN experiment.design IS 'Metrics, channels and their weights, salt, days; as they were at the start';
COMMENT ON COLUMN experiment.starts_at IS 'Midnight (UTC) with which its first day begins';
COMMENT ON COLUMN experiment.workflow_id IS 'Workflow that measures it';
COMMENT ON COLUMN experiment.run_id IS 'Run of that workflow';
COMMENT ON COLUMN experiment.created_at IS 'When this row was written';

CREATE TABLE experiment_measurement (
    version bigint GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    experiment text NOT NULL,
    days integer NOT NULL,
    mismatch boolean NOT NULL,
    result jsonb NOT NULL,
    workflow_id text NOT NULL,
    run_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT experiment_measurement_pkey PRIMARY KEY (version),
    CONSTRAINT experiment_measurement_key_key UNIQUE (key),
    CONSTRAINT experiment_measurement_experiment_fkey FOREIGN KEY (experiment) REFERENCES experiment (name),
    CONSTRAINT experiment_measurement_days_check CHECK (days > 0)
);
CREATE INDEX experiment_measurement_experiment_version_idx ON experiment_measurement (experiment, version);
COMMENT ON TABLE experiment_measurement IS 'What an experiment had come to after so many days; the newest counts';
COMMENT ON COLUMN experiment_measurement.version IS 'Grows with every new version';
COMMENT ON COLUMN experiment_measurement.key IS
    'SHA-256 of experiment, days, result and the version before: the same input is the same version';
COMMENT ON COLUMN experiment_measurement.experiment IS 'The experiment';
COMMENT ON COLUMN experiment_measurement.days IS 'Whole days since its start';
COMMENT ON COLUMN experiment_measurement.mismatch IS 'The split of the users is not that of the weights: there is no result';
COMMENT ON COLUMN experiment_measurement.result IS 'Users, metrics by day and cumulated, with a format number';
COMMENT ON COLUMN experiment_measurement.workflow_id IS 'Workflow that measured it';
COMMENT ON COLUMN experiment_measurement.run_id IS 'Run of that workflow';
COMMENT ON COLUMN experiment_measurement.created_at IS 'When this row was written';

CREATE TABLE experiment_end (
    experiment text NOT NULL,
    outcome text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT experiment_end_pkey PRIMARY KEY (experiment),
    CONSTRAINT experiment_end_experiment_fkey FOREIGN KEY (experiment) REFERENCES experiment (name),
    CONSTRAINT experiment_end_outcome_check CHECK (outcome IN ('completed', 'stopped'))
);
COMMENT ON TABLE experiment_end IS 'How an experiment ended: after its days, or stopped by somebody';
COMMENT ON COLUMN experiment_end.experiment IS 'The experiment';
COMMENT ON COLUMN experiment_end.outcome IS 'completed | stopped';
COMMENT ON COLUMN experiment_end.actor IS 'Who stopped it';
COMMENT ON COLUMN experiment_end.reason IS 'Why';
COMMENT ON COLUMN experiment_end.created_at IS 'When this row was written';
"""

VIEW = """
CREATE VIEW measured_experiment AS
SELECT m.experiment, m.version AS measurement, m.created_at, x.metric->>'name' AS metric, s.scope,
    e.starts_at + (d.day - 1) * interval '1 day' AS day, (d.effect->>'value')::float8 AS value,
    (d.effect->>'low')::float8 AS low, (d.effect->>'high')::float8 AS high, (d.effect->>'always_low')::float8 AS always_low,
    (d.effect->>'always_high')::float8 AS always_high, (d.effect->>'p')::float8 AS p, x.metric->>'reading' AS reading,
    m.version = max(m.version) OVER (PARTITION BY m.experiment) AS newest
FROM experiment_measurement m
JOIN experiment e ON e.name = m.experiment
CROSS JOIN LATERAL jsonb_array_elements(m.result->'metrics') AS x(metric)
CROSS JOIN (VALUES ('cumulated'), ('daily')) AS s(scope)
CROSS JOIN LATERAL jsonb_array_elements(x.metric->s.scope) WITH ORDINALITY AS d(effect, day);
COMMENT ON VIEW measured_experiment IS
    'Relative differences of experiments, treatment over control: a row for each metric and day, of that day and up to it';
COMMENT ON COLUMN measured_experiment.value IS '0.01 is 1 % more than control';
COMMENT ON COLUMN measured_experiment.low IS '95 % interval of one look at one time';
COMMENT ON COLUMN measured_experiment.always_low IS '95 % interval that holds on every day at once';
"""

APPEND_ONLY = """
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {0} EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(VIEW)
    for table in ("experiment", "experiment_measurement", "experiment_end"):
        op.execute(APPEND_ONLY.format(table))


def downgrade() -> None:
    op.execute("DROP VIEW measured_experiment")
    op.execute("DROP TABLE experiment_end, experiment_measurement, experiment")
