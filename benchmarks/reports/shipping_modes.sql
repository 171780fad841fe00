-- Shipping modes
-- How the agency's suppliers ship, by month: volume, time under way, and the mode's share.
with shipped as (
    select date_trunc('month', l.l_shipdate)::date as month,
           l.l_shipmode as ship_mode,
           l.l_quantity as pieces,
           l.l_receiptdate - l.l_shipdate as days
    from tpch.lineitem l
    join tpch.supplier s on s.s_suppkey = l.l_suppkey
    where s.s_nationkey = :agency_id
)
select month,
       ship_mode,
       count(*) as lines,
       sum(pieces) as pieces,
       round(avg(days), 2) as days_under_way,
       percentile_disc(0.95) within group (order by days) as days_under_way_p95,
       round(100.0 * count(*) / sum(count(*)) over (partition by month), 1) as share_in_percent
from shipped
group by month, ship_mode
order by month, ship_mode
