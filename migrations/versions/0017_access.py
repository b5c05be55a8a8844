"""A verdict is written by the function that checks it, and by nothing else; and one function says what each kind of user may do.

`grant_access` is called for the three roles after every migration (`migrations/env.py`), so that tables of later migrations are
covered, and so are roles that an administrator makes later.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

VERDICT = """
CREATE FUNCTION record_verdict(about bigint, review_id text, decision text, reviewer text, reason text, known_by text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    vouched boolean := has_table_privilege(session_user, 'transition_table', 'INSERT');
    stands verdict;
BEGIN
    IF NOT vouched AND (reviewer, known_by) IS DISTINCT FROM (session_user::text, 'login') THEN
        RAISE EXCEPTION 'you are % here: a verdict in another name is refused', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF (decision IN ('expired', 'superseded')) IS DISTINCT FROM (known_by = 'system') THEN
        RAISE EXCEPTION 'a verdict % known by % is none', decision, known_by USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF length(reviewer) > 200 OR length(reason) > 2000 OR reviewer || reason ~ '[[:cntrl:]]' OR reviewer ~ '^\\s*$' THEN
        RAISE EXCEPTION 'reviewer and reason of a verdict are one line of printable text each, of up to 200 and 2000 characters'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF review_id IS NOT NULL THEN
        SELECT g.table_version INTO about FROM gate g WHERE g.gate_id = review_id;
    END IF;
    IF NOT EXISTS (SELECT FROM transition_table t WHERE t.version = about) THEN
        RAISE EXCEPTION 'a verdict is about a table or an open review: there is none such'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('verdict:' || about, 0));
    IF decision = 'revoke' THEN
        IF NOT table_approved(about) THEN
            RAISE EXCEPTION 'table % is not approved: there is nothing to revoke', about
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        INSERT INTO verdict (table_version, decision, reviewer, reason, known_by)
        VALUES (about, decision, reviewer, reason, known_by);
        RETURN true;
    END IF;
    INSERT INTO verdict (gate_id, table_version, decision, reviewer, reason, known_by)
    VALUES (review_id, about, decision, reviewer, reason, known_by) ON CONFLICT (gate_id) DO NOTHING;
    SELECT v.* INTO stands FROM verdict v WHERE v.gate_id = review_id;
    RETURN (stands.decision, stands.reviewer, stands.reason) IS NOT DISTINCT FROM (decision, reviewer, reason);
END $$;
COMMENT ON FUNCTION record_verdict(bigint, text, text, text, text, text) IS
    'The only way to a verdict''s row. Whoever may add tables (workers) vouches for the reviewer''s name; everybody else decides '
    'under the name of the login. False: the review has another verdict';
REVOKE EXECUTE ON FUNCTION record_verdict(bigint, text, text, text, text, text) FROM PUBLIC;
"""

ACCESS = """
CREATE FUNCTION grant_access(grantee text, kind text) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    part record;
BEGIN
    IF kind NOT IN ('reader', 'reviewer', 'worker') THEN
        RAISE EXCEPTION 'kind % is none of reader, reviewer, worker', kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', grantee);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO %I', grantee);
    IF kind = 'worker' THEN  -- the partitions that it makes
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO %I', grantee);
    END IF;
    FOR part IN
        SELECT c.oid::regclass AS name, x.wanted FROM pg_class c, LATERAL (
            SELECT CASE
                WHEN kind <> 'worker' OR c.relkind NOT IN ('r', 'p') OR c.relname IN ('alembic_version', 'verdict') THEN 'SELECT'
                WHEN c.relname = 'channel' THEN 'INSERT, SELECT, UPDATE'
                ELSE 'INSERT, SELECT'
            END AS wanted) x
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
            AND x.wanted IS DISTINCT FROM (
                SELECT string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) FROM aclexplode(c.relacl) a
                WHERE a.grantee = to_regrole(quote_ident(grantee))::oid)
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %I', part.name, grantee);
        EXECUTE format('GRANT %s ON %s TO %I', part.wanted, part.name, grantee);
    END LOOP;
    IF kind = 'worker' THEN
        EXECUTE format('GRANT UPDATE (state, said, attempts, claimed_at) ON notification TO %I', grantee);
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION make_partition(text, bigint), attach_partition(text, bigint, text) TO %I', grantee
        );
    END IF;
    IF kind IN ('worker', 'reviewer') THEN
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION record_verdict(bigint, text, text, text, text, text) TO %I', grantee
        );
    END IF;
END $$;
COMMENT ON FUNCTION grant_access(text, text) IS
    'Grants a role what a reader, a reviewer or a worker needs, and takes its other rights on tables. For the schema''s owner';
"""


def upgrade() -> None:
    op.execute(VERDICT)
    op.execute(ACCESS)


def downgrade() -> None:
    op.execute("DROP FUNCTION grant_access(text, text)")
    op.execute("DROP FUNCTION record_verdict(bigint, text, text, text, text, text)")
    op.execute("""
        DO $$
        DECLARE role text;
        BEGIN
            FOR role IN SELECT rolname FROM pg_roles WHERE rolname IN ('driftline_worker', 'driftline_reviewer') LOOP
                EXECUTE format('GRANT INSERT ON verdict TO %I', role);
            END LOOP;
        END $$""")
