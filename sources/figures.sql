-- What the window held beside its triples.
--
-- Reads  driftline_log("user", item, ts, positive, fault)   every row of the log
--        driftline_assignment(item, cluster)                one row per item
-- Takes  $start, $end (UTC timestamps)
-- Gives  one row; sums are null where the window has no row

WITH seen AS (
    SELECT
        l."user" AS "user",
        l.item AS item,
        a.cluster AS cluster,
        l.fault AS fault,
        CASE WHEN l.fault IS NULL AND l.positive THEN 1 ELSE 0 END AS counts
    FROM driftline_log AS l
    LEFT JOIN driftline_assignment AS a ON a.item = l.item
    WHERE l.ts >= $start AND l.ts < $end
),

users AS (
    SELECT
        COUNT(*) AS n,
        SUM(CASE WHEN s.counts = 1 AND s.cluster IS NOT NULL THEN 1 ELSE 0 END) AS events,
        SUM(CASE WHEN s.fault IS NULL AND s.counts = 0 THEN 1 ELSE 0 END) AS not_positive,
        SUM(CASE WHEN s.counts = 1 AND s.cluster IS NULL THEN 1 ELSE 0 END) AS unknown,
        SUM(CASE WHEN s.fault = 'events_without_user' THEN 1 ELSE 0 END) AS without_user,
        SUM(CASE WHEN s.fault = 'events_without_item' THEN 1 ELSE 0 END) AS without_item,
        SUM(CASE WHEN s.fault = 'events_with_float_id' THEN 1 ELSE 0 END) AS float_id,
        SUM(CASE WHEN s.fault = 'events_with_nul_in_id' THEN 1 ELSE 0 END) AS nul_in_id,
        COUNT(DISTINCT CASE WHEN s.counts = 1 THEN s.cluster END) AS clusters
    FROM seen AS s
    GROUP BY s."user"
),

unknown_items AS (
    SELECT COUNT(DISTINCT s.item) AS n FROM seen AS s WHERE s.counts = 1 AND s.cluster IS NULL
)

SELECT
    SUM(u.n) AS "rows",
    SUM(u.events) AS events,
    SUM(CASE WHEN u.clusters > 0 THEN 1 ELSE 0 END) AS users,
    SUM(CASE WHEN u.clusters >= 3 THEN 1 ELSE 0 END) AS sequences,
    SUM(u.not_positive) AS events_not_positive,
    SUM(u.unknown) AS events_of_unknown_items,
    MAX(i.n) AS unknown_items,
    SUM(u.without_user) AS events_without_user,
    SUM(u.without_item) AS events_without_item,
    SUM(u.float_id) AS events_with_float_id,
    SUM(u.nul_in_id) AS events_with_nul_in_id
FROM users AS u
CROSS JOIN unknown_items AS i
