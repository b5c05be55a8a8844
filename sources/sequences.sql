-- The definition of a sequence (design §3.1): a user's clusters in time order inside one window.
--
-- Reads  driftline_events("user", item, ts, positive, basket)   ts is a timestamp without zone, in UTC
--        driftline_assignment(item, cluster)                     one row per item
-- Takes  $start, $end (UTC timestamps), $dedup ('first' or 'adjacent')
-- Gives  "user", cluster, ts, tie                                one row per step; the order is that of (ts, tie)
--
-- Kept to standard SQL, so that sqlglot can carry it to the engine that holds the log.

WITH positives AS (
    -- The window is half-open: an event at $start is in, an event at $end is not.
    SELECT e."user", e.item, e.ts, e.basket
    FROM driftline_events AS e
    WHERE e.positive AND e.ts >= $start AND e.ts < $end
),

-- Order inside a basket means nothing, so all of it happens at the time of its first event in the window.
baskets AS (
    SELECT p."user", p.basket, MIN(p.ts) AS ts
    FROM positives AS p
    WHERE p.basket IS NOT NULL
    GROUP BY p."user", p.basket
),

-- ClickHouse wants the columns of a join to be named.
steps AS (
    SELECT p."user" AS "user", a.cluster AS cluster, COALESCE(b.ts, p.ts) AS ts
    FROM positives AS p
    INNER JOIN driftline_assignment AS a ON a.item = p.item
    LEFT JOIN baskets AS b ON b."user" = p."user" AND b.basket = p.basket
),

-- Several events of one user, cluster and time are one visit. `first` keeps a cluster's first time in the window only.
visits AS (
    SELECT s."user", s.cluster, MIN(s.ts) AS ts
    FROM steps AS s
    GROUP BY s."user", s.cluster, CASE WHEN $dedup = 'adjacent' THEN s.ts END
),

-- Clusters of one user at one time have no order of their own. The hash gives them one that is the same in every engine and
-- favours no cluster: md5, in lower-case hex, of "user time cluster" with the time in microseconds since 1970 UTC.
ordered AS (
    SELECT
        v."user",
        v.cluster,
        v.ts,
        MD5(CONCAT(
            v."user", ' ',
            CAST(DATE_DIFF('microsecond', TIMESTAMP '1970-01-01 00:00:00', v.ts) AS VARCHAR), ' ',
            CAST(v.cluster AS VARCHAR)
        )) AS tie
    FROM visits AS v
),

-- `adjacent` collapses repeats; under `first` there are none.
with_previous AS (
    SELECT
        o."user",
        o.cluster,
        o.ts,
        o.tie,
        LAG(o.cluster) OVER (PARTITION BY o."user" ORDER BY o.ts, o.tie) AS previous
    FROM ordered AS o
)

SELECT w."user", w.cluster, w.ts, w.tie
FROM with_previous AS w
WHERE w.previous IS NULL OR w.previous <> w.cluster
