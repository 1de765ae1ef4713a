-- As in 0041_first_visits.sql, of all months of campaigns with terms, and whether these change in it.
CREATE OR REPLACE VIEW month_edges AS
WITH
    (SELECT groupArray(month) FROM months) AS months,
    day -> arrayFirstIndex
    (
        place -> formatDateTime(toDateTime(day, 'UTC') - 50400 + 900 * place, '%F', timezone) >= toString(day),
        range(105)
    ) - 1 AS place_of
SELECT advertiser, campaign, month, timezone, changes, begins, ends
FROM
(
    SELECT
        advertiser, campaign, month, argMaxIf(timezone, starts, starts <= toDateTime(month, 'UTC')) AS timezone,
        (advertiser, campaign, month) IN months_of_change AS changes
    FROM terms_held FINAL
    ARRAY JOIN months AS month
    GROUP BY advertiser, campaign, month
) AS held
LEFT JOIN
(
    SELECT timezone, month, place_of(month) AS begins, place_of(addMonths(month, 1)) AS ends
    FROM (SELECT DISTINCT timezone, arrayJoin(months) AS month FROM terms_held)
) AS zones USING (timezone, month);

-- As in 0041_first_visits.sql, in less than half the time. Of a visitor's quarter hours those are left that tell which
-- is the month's first, wherever campaigns' months begin, from the earliest to the latest: so few groups are made. And
-- of each row it is asked whether its names are among those paid for, not their pair: `paid` leaves out most others.
CREATE OR REPLACE VIEW newcomers_between AS
WITH
    bits -> bitAnd(bits, bitNot(bits) + 1) AS lowest,
    bit -> bitCount(bit - 1) AS number,
    (SELECT arrayConcat([56], groupUniqArrayIf(begins, timezone != '')) FROM month_edges) AS all_begins,
    arrayMin(all_begins) AS earliest, arrayMax(all_begins) AS latest,
    bitShiftLeft(bitShiftRight(first.early, latest), latest) AS from_latest,
    if(timezone = '', 56, begins) AS begin,
    lowest(bitShiftLeft(bitShiftRight(visits.early, begin), begin)) AS first_early,
    bitAnd(visits.late, bitShiftLeft(toUInt128(1), if(timezone = '', 56, ends)) - 1) AS first_late,
    multiIf(first_early != 0, number(first_early), visits.inside != 65535, visits.inside, number(first_late)) AS place
SELECT
    advertiser, campaign,
    toDateTime(if(first_early = 0 AND visits.inside = 65535, addMonths(month, 1), month), 'UTC') - 50400 + 900 * place
        AS at,
    sum(visits.visitors) AS visitors
FROM
(
    SELECT
        advertiser, campaign, month,
        if
        (
            first.early = 0,
            0,
            bitOr
            (
                bitShiftLeft(bitShiftRight(bitXor(first.early, from_latest), earliest), earliest),
                lowest(from_latest)
            )
        ) AS early,
        if(from_latest != 0, 0, first.inside) AS inside,
        if(from_latest != 0 OR first.inside != 65535, 0, lowest(first.late)) AS late,
        count() AS visitors
    FROM first_visits AS first FINAL
    WHERE month >= toStartOfMonth({first:Date}) AND month <= {last:Date} AND month > (SELECT day FROM visits_known)
        AND
        (
            NOT {paid:Bool}
            OR advertiser IN (SELECT advertiser FROM terms_held WHERE pricing = 'cpm' AND basis = 'unique')
                AND campaign IN (SELECT campaign FROM terms_held WHERE pricing = 'cpm' AND basis = 'unique')
        )
    GROUP BY advertiser, campaign, month, early, inside, late
) AS visits
LEFT ANY JOIN month_edges USING (advertiser, campaign, month)
WHERE (first_early != 0 OR visits.inside != 65535 OR first_late != 0) AND NOT changes
GROUP BY advertiser, campaign, at
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1;
