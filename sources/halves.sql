-- triples.sql by sixteen random parts of the users, told apart by the first hex digit of an md5 of their id; four that follow each
-- other are a quarter, and any two quarters a random half. A user is in the same sixteenth in every window. The id is not hashed
-- alone: a log may hold the users of some md5 only.
--
-- Reads  sequences("user", cluster, ts, tie)   sequences.sql, which takes the window
-- Gives  c1, c2, c_next, sixteenth, n           one row per triple and sixteenth (0 to 15) in which it occurred, in order; their n
--                                               sum to triples.sql's

SELECT t.c1, t.c2, t.c_next, t.sixteenth, COUNT(*) AS n
FROM (
    SELECT
        LAG(s.cluster, 2) OVER (PARTITION BY s."user" ORDER BY s.ts, s.tie) AS c1,
        LAG(s.cluster, 1) OVER (PARTITION BY s."user" ORDER BY s.ts, s.tie) AS c2,
        s.cluster AS c_next,
        POSITION(SUBSTRING(MD5(CONCAT('half of ', s."user")), 1, 1) IN '0123456789abcdef') - 1 AS sixteenth
    FROM sequences AS s
) AS t
WHERE t.c1 <> t.c_next
GROUP BY t.c1, t.c2, t.c_next, t.sixteenth
ORDER BY t.c1, t.c2, t.c_next, t.sixteenth
