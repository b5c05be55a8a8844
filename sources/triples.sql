-- The definition of the counts (design §3.1, §3.2). Every other counting engine must give the same rows.
--
-- Reads  sequences("user", cluster, ts, tie)   sequences.sql, which takes the window
-- Gives  c1, c2, c_next, n                      one row per triple that occurred, in order

-- Neighbours differ already; c_next is new when it is not c1 either. The first two of a sequence have no c1.
SELECT t.c1, t.c2, t.c_next, COUNT(*) AS n
FROM (
    SELECT
        LAG(s.cluster, 2) OVER (PARTITION BY s."user" ORDER BY s.ts, s.tie) AS c1,
        LAG(s.cluster, 1) OVER (PARTITION BY s."user" ORDER BY s.ts, s.tie) AS c2,
        s.cluster AS c_next
    FROM sequences AS s
) AS t
WHERE t.c1 <> t.c_next
GROUP BY t.c1, t.c2, t.c_next
ORDER BY t.c1, t.c2, t.c_next
