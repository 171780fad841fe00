-- Revenue by month
-- Billed revenue of the agency's customers, the year so far, and the change since a year ago.
with monthly as (
    select date_trunc('month', o.o_orderdate)::date as month,
           sum(l.l_extendedprice * (1 - l.l_discount)) as revenue,
           count(distinct o.o_orderkey) as orders
    from tpch.customer c
    join tpch.orders o on o.o_custkey = c.c_custkey
    join tpch.lineitem l on l.l_orderkey = o.o_orderkey
    where c.c_nationkey = :agency_id
    group by 1
)
select month,
       orders,
       round(revenue, 2) as revenue,
       round(sum(revenue) over (partition by date_trunc('year', month) order by month), 2) as year_so_far,
       round(100 * (revenue / lag(revenue, 12) over (order by month) - 1), 1) as change_in_percent
from monthly
order by month
