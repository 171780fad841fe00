-- Sizes of orders
-- A histogram of order values in twenty equal steps, with the median line count of each.
with sized as (
    select o.o_orderkey, o.o_totalprice, count(*) as lines
    from tpch.orders o
    join tpch.customer c on c.c_custkey = o.o_custkey
    join tpch.lineitem l on l.l_orderkey = o.o_orderkey
    where c.c_nationkey = :agency_id
    group by o.o_orderkey
), range as (
    select min(o_totalprice) as least, max(o_totalprice) as most from sized
)
select width_bucket(o_totalprice, least, most + 0.01, 20) as step,
       min(o_totalprice) as from_value,
       max(o_totalprice) as to_value,
       count(*) as orders,
       percentile_disc(0.5) within group (order by lines) as median_lines,
       round(100.0 * sum(count(*)) over (order by width_bucket(o_totalprice, least, most + 0.01, 20))
           / sum(count(*)) over (), 2) as orders_so_far_in_percent
from sized cross join range
group by width_bucket(o_totalprice, least, most + 0.01, 20)
order by step
