"""Who was told what, and how many starts the schedules have left out."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE notification (
    id bigint GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    target text NOT NULL,
    event text NOT NULL,
    level text NOT NULL,
    title text NOT NULL,
    state text NOT NULL,
    said text NOT NULL,
    attempts integer NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT notification_pkey PRIMARY KEY (id),
    CONSTRAINT notification_key_target_key UNIQUE (key, target),
    CONSTRAINT notification_state_check CHECK (state IN ('claimed', 'sent', 'failed')),
    CONSTRAINT notification_level_check CHECK (level IN ('info', 'warning', 'failure'))
);
COMMENT ON TABLE notification IS 'Who was told what: a row per notification and target, claimed before it is sent';
COMMENT ON COLUMN notification.id IS 'Order of first attempts';
COMMENT ON COLUMN notification.key IS 'What happened; the same key is sent once to each target';
COMMENT ON COLUMN notification.target IS 'Name in the settings; addresses are stored nowhere';
COMMENT ON COLUMN notification.event IS 'review_opened, published, run_failed, …';
COMMENT ON COLUMN notification.level IS 'info | warning | failure';
COMMENT ON COLUMN notification.title IS 'First line of what was sent';
COMMENT ON COLUMN notification.state IS 'claimed (an attempt is at it, or died) | sent | failed (may be tried again)';
COMMENT ON COLUMN notification.said IS 'What the target answered';
COMMENT ON COLUMN notification.attempts IS 'How often it was claimed';
COMMENT ON COLUMN notification.claimed_at IS 'When the newest attempt began';
COMMENT ON COLUMN notification.created_at IS 'When this row was written';

CREATE TABLE schedule_count (
    id bigint GENERATED ALWAYS AS IDENTITY,
    schedule text NOT NULL,
    skipped bigint NOT NULL,
    missed bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedule_count_pkey PRIMARY KEY (id)
);
CREATE INDEX schedule_count_schedule_id_idx ON schedule_count (schedule, id);
COMMENT ON TABLE schedule_count IS 'The counters of Temporal''s schedules, a row whenever one has changed; append-only';
COMMENT ON COLUMN schedule_count.id IS 'Order of the rows';
COMMENT ON COLUMN schedule_count.schedule IS 'Id in Temporal';
COMMENT ON COLUMN schedule_count.skipped IS 'Starts left out because the run before was open, since the schedule was made';
COMMENT ON COLUMN schedule_count.missed IS 'Starts too old to be made up for, since the schedule was made';
COMMENT ON COLUMN schedule_count.created_at IS 'When this row was written';
CREATE VIEW left_out_starts AS
SELECT id, schedule, created_at AS noticed_at,
    skipped - CASE WHEN skipped >= before THEN before ELSE 0 END AS skipped,
    missed - CASE WHEN missed >= before_missed THEN before_missed ELSE 0 END AS missed
FROM (
    SELECT *, lag(skipped, 1, 0::bigint) OVER schedules AS before, lag(missed, 1, 0::bigint) OVER schedules AS before_missed
    FROM schedule_count WINDOW schedules AS (PARTITION BY schedule ORDER BY id)
) c;
COMMENT ON VIEW left_out_starts IS 'Starts that a schedule has skipped or missed, by when it was noticed';
COMMENT ON COLUMN left_out_starts.skipped IS 'More than at the row before; all of them where the schedule was made anew';
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON schedule_count FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON schedule_count EXECUTE FUNCTION refuse_change();
"""

GRANTS = """
DO $$
DECLARE
    who text;
BEGIN
    FOR who IN SELECT rolname FROM pg_roles WHERE rolname IN ('driftline_reader', 'driftline_worker', 'driftline_reviewer') LOOP
        EXECUTE format('GRANT SELECT ON notification, schedule_count, left_out_starts TO %I', who);
        IF who = 'driftline_worker' THEN
            EXECUTE format('GRANT INSERT ON notification, schedule_count TO %I', who);
            EXECUTE format('GRANT UPDATE (state, said, attempts, claimed_at) ON notification TO %I', who);
        END IF;
    END LOOP;
END $$;
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS)


def downgrade() -> None:
    op.execute("DROP VIEW left_out_starts")
    op.execute("DROP TABLE schedule_count, notification")
