-- Late deliveries
-- Lines of the agency's suppliers that arrived after the promised date, by quarter and way of shipping.
select date_trunc('quarter', l.l_receiptdate)::date as quarter,
       coalesce(l.l_shipmode, 'all') as ship_mode,
       count(*) as lines,
       count(*) filter (where l.l_receiptdate > l.l_commitdate) as late,
       round(100.0 * count(*) filter (where l.l_receiptdate > l.l_commitdate) / count(*), 1)
           as late_in_percent,
       percentile_cont(0.9) within group (order by l.l_receiptdate - l.l_commitdate) as days_late_p90
from tpch.lineitem l
join tpch.supplier s on s.s_suppkey = l.l_suppkey
where s.s_nationkey = :agency_id
group by grouping sets ((1, l.l_shipmode), (1))
order by quarter, ship_mode
