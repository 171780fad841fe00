-- Priority service
-- Do urgent orders really arrive sooner? Days from order to the last line's arrival, by priority and quarter.
with delivered as (
    select o.o_orderkey, o.o_orderpriority, o.o_orderdate,
           max(l.l_receiptdate) - o.o_orderdate as days,
           bool_or(l.l_receiptdate > l.l_commitdate) as some_line_late
    from tpch.customer c
    join tpch.orders o on o.o_custkey = c.c_custkey
    join tpch.lineitem l on l.l_orderkey = o.o_orderkey
    where c.c_nationkey = :agency_id and o.o_orderstatus = 'F'
    group by o.o_orderkey
)
select date_trunc('quarter', o_orderdate)::date as quarter,
       o_orderpriority as priority,
       count(*) as orders,
       percentile_disc(array[0.5, 0.9, 0.99]) within group (order by days) as days_p50_p90_p99,
       round(100.0 * count(*) filter (where some_line_late) / count(*), 1) as late_in_percent
from delivered
group by 1, 2
order by quarter, priority
