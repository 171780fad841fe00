-- Weekdays
-- Is there a rhythm in the week? Orders by weekday and month, against the average of all nations.
with by_day as (
    select extract(isodow from o.o_orderdate)::integer as weekday,
           extract(month from o.o_orderdate)::integer as month,
           c.c_nationkey = :agency_id as ours,
           count(*) as orders,
           sum(o.o_totalprice) as value
    from tpch.orders o
    join tpch.customer c on c.c_custkey = o.o_custkey
    group by 1, 2, 3
)
select weekday,
       month,
       sum(orders) filter (where ours) as orders,
       round(sum(value) filter (where ours), 2) as value,
       round(100 * (sum(value) filter (where ours) / sum(orders) filter (where ours))
           / (sum(value) / sum(orders)), 1) as order_value_against_all
from by_day
group by weekday, month
order by month, weekday
