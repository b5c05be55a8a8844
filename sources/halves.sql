-- triples.sql by four random quarters of the users, told apart by the first hex digit of an md5 of their id; any two quarters are a
-- random half. A user is in the same quarter in every window. The id is not hashed alone: a log may hold the users of some md5 only.
--
-- Reads  sequences("user", cluster, ts, tie)   sequences.sql, which takes the window
-- Gives  c1, c2, c_next, quarter, n             one row per triple and quarter (0 to 3) in which it occurred, in order; the n of the
--                                               quarters sum to triples.sql's

SELECT t.c1, t.c2, t.c_next, t.quarter, COUNT(*) AS n
FROM (
    SELECT
        LAG(s.cluster, 2) OVER (PARTITION BY s."user" ORDER BY s.ts, s.tie) AS c1,
        LAG(s.cluster, 1) OVER (PARTITION BY s."user" ORDER BY s.ts, s.tie) AS c2,
        s.cluster AS c_next,
        CASE
            WHEN SUBSTRING(MD5(CONCAT('half of ', s."user")), 1, 1) < '4' THEN 0
            WHEN SUBSTRING(MD5(CONCAT('half of ', s."user")), 1, 1) < '8' THEN 1
            WHEN SUBSTRING(MD5(CONCAT('half of ', s."user")), 1, 1) < 'c' THEN 2
            ELSE 3
        END AS quarter
    FROM sequences AS s
) AS t
WHERE t.c1 <> t.c_next
GROUP BY t.c1, t.c2, t.c_next, t.quarter
ORDER BY t.c1, t.c2, t.c_next, t.quarter
