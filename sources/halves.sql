-- triples.sql for two random halves of the users, told apart by the first hex digit of the md5 of their id. Their sum is triples.sql.
--
-- Reads  sequences("user", cluster, ts, tie)   sequences.sql, which takes the window
-- Gives  c1, c2, c_next, half, n                one row per triple and half (0 or 1) in which it occurred, in order

SELECT t.c1, t.c2, t.c_next, t.half, COUNT(*) AS n
FROM (
    SELECT
        LAG(s.cluster, 2) OVER (PARTITION BY s."user" ORDER BY s.ts, s.tie) AS c1,
        LAG(s.cluster, 1) OVER (PARTITION BY s."user" ORDER BY s.ts, s.tie) AS c2,
        s.cluster AS c_next,
        CASE WHEN SUBSTRING(MD5(CAST(s."user" AS VARCHAR)), 1, 1) < '8' THEN 0 ELSE 1 END AS half
    FROM sequences AS s
) AS t
WHERE t.c1 <> t.c_next
GROUP BY t.c1, t.c2, t.c_next, t.half
ORDER BY t.c1, t.c2, t.c_next, t.half
