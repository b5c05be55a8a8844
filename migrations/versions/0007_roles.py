"""Who may do what: roles without login, to be granted to the users that connect. And nobody deletes a channel."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ROLES = {
    "driftline_reader": "Reads everything, writes nothing: dashboards, SQL users, serving",
    "driftline_worker": "Reads everything, adds versions, moves channels; changes and deletes nothing",
    "driftline_reviewer": "Reads everything, adds verdicts",
}

# Roles belong to the whole server: another database of it, or an administrator, may have made them.
MAKE_ROLES = """
DO $$
DECLARE
    allowed boolean := (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user);
BEGIN
    IF allowed AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        BEGIN
            CREATE ROLE {role} NOLOGIN;
            COMMENT ON ROLE {role} IS '{about}';
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        {grants}
    END IF;
END $$;
"""

READ = """
        GRANT USAGE ON SCHEMA public TO {role};
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {role};
"""
GRANTS = {
    "driftline_reader": READ,
    "driftline_worker": READ
    + """
        GRANT INSERT ON ALL TABLES IN SCHEMA public TO {role};
        REVOKE INSERT ON alembic_version FROM {role};
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO {role};
        GRANT UPDATE ON channel TO {role};
        GRANT EXECUTE ON FUNCTION make_partition(text, bigint), attach_partition(text, bigint, text) TO {role};
""",
    "driftline_reviewer": READ + "        GRANT INSERT ON verdict TO {role};\n",
}

# Only the owner of a partitioned table may add a partition.
PARTITIONS = """
CREATE FUNCTION make_partition(parent text, version bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    partition text := parent || '_v' || version;
    clusters integer := (
        SELECT s.clusters FROM transition_table t JOIN cluster_set s ON s.version = t.cluster_set
        WHERE t.version = make_partition.version AND parent = 'transition'
    );
BEGIN
    IF parent NOT IN ('transition', 'transition_count') THEN
        RAISE EXCEPTION '% has no partitions', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format(
        'CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING INDEXES, CHECK (version = %s))',
        partition, parent, version
    );
    IF clusters IS NOT NULL THEN
        EXECUTE format(
            'ALTER TABLE %I ADD CONSTRAINT %I CHECK (least(c1, c2, c_next) >= 0 AND greatest(c1, c2, c_next) < %s)',
            partition, partition || '_in_set', clusters
        );
    END IF;
END $$;
COMMENT ON FUNCTION make_partition(text, bigint) IS 'A table for the rows of one version, not attached yet';

CREATE FUNCTION attach_partition(parent text, version bigint, primary_key text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    partition text := parent || '_v' || version;
BEGIN
    IF parent NOT IN ('transition', 'transition_count') OR primary_key !~ '^[a-z0-9_]+(, [a-z0-9_]+)*$' THEN
        RAISE EXCEPTION '% has no partitions', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (%s)', partition, primary_key);
    EXECUTE format('ANALYZE %I', partition);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%s)', parent, partition, version);
END $$;
COMMENT ON FUNCTION attach_partition(text, bigint, text) IS 'Index the rows of a version and make them visible';
REVOKE EXECUTE ON FUNCTION make_partition(text, bigint), attach_partition(text, bigint, text) FROM PUBLIC;
"""


def upgrade() -> None:
    op.execute("CREATE TRIGGER refuse_delete BEFORE DELETE ON channel FOR EACH ROW EXECUTE FUNCTION refuse_change()")
    op.execute("CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON channel EXECUTE FUNCTION refuse_change()")
    op.execute(PARTITIONS)
    for role, about in ROLES.items():
        op.execute(MAKE_ROLES.format(role=role, about=about, grants=GRANTS[role].format(role=role)))


def downgrade() -> None:
    op.execute("DROP FUNCTION make_partition(text, bigint), attach_partition(text, bigint, text)")
    op.execute("DROP TRIGGER refuse_truncate ON channel")
    op.execute("DROP TRIGGER refuse_delete ON channel")
    for role in ROLES:  # the role itself may serve other databases
        op.execute(f"""
            DO $$ BEGIN
                IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                    ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM {role};
                    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role};
                    REVOKE USAGE ON SCHEMA public FROM {role};
                END IF;
            END $$""")
