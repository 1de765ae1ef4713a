-- What campaigns' days cost by the terms that held, to the last decimal; a bill rounds the sum. Terms by uniques pay for
-- each visitor of a month once, on the first day that it was seen under them, so days add up. NULL: lost (campaign_days).
CREATE VIEW IF NOT EXISTS charges AS
SELECT
    days.advertiser AS advertiser, days.campaign AS campaign, month, day, days.starts AS starts,
    days.timezone AS timezone, pricing, basis, price, currency,
    if
    (
        lost AND (pricing = 'cpa' OR pricing = 'cpm' AND basis = 'unique'),
        NULL,
        multiIf
        (
            pricing = 'cpc', clicks,
            pricing = 'cpa', conversions,
            basis = 'gross', gross,
            basis = 'valid', valid,
            billable_uniques
        )
    ) AS quantity,
    price::Decimal(38, 9) / if(pricing = 'cpm', 1000, 1) * quantity AS spent
FROM campaign_days AS days
INNER JOIN terms
ON days.advertiser = terms.advertiser AND days.campaign = terms.campaign AND days.starts = terms.starts;

-- The same beside the plan, which is the one that was set last: by the end of each day, what should have been spent of
-- the budget if it were spent evenly, and what was.
CREATE VIEW IF NOT EXISTS spend AS
SELECT
    charges.*, budget, plan_start, plan_end,
    budget * least(greatest(dateDiff('day', plan_start, day) + 1, 0), plan_days) / plan_days AS planned_to_date,
    if
    (
        plan_start IS NULL OR countIf(spent IS NULL AND day BETWEEN plan_start AND plan_end) OVER so_far > 0,
        NULL,
        sumIf(spent, day BETWEEN plan_start AND plan_end) OVER so_far
    ) AS spent_to_date
FROM charges
LEFT JOIN
(
    SELECT
        advertiser, campaign, currency, plan_start, plan_end, nullIf(budget, 0)::Nullable(Decimal(38, 9)) AS budget,
        dateDiff('day', plan_start, plan_end) + 1 AS plan_days
    FROM (SELECT * FROM terms_set ORDER BY set_at DESC LIMIT 1 BY advertiser, campaign)
) AS plans
ON charges.advertiser = plans.advertiser AND charges.campaign = plans.campaign AND charges.currency = plans.currency
WINDOW so_far AS (PARTITION BY charges.advertiser, charges.campaign, charges.currency ORDER BY day, starts);
