-- Top customers
-- The 100 customers who brought most, with their share and the share of all before them.
with spent as (
    select c.c_custkey, c.c_name, c.c_mktsegment,
           sum(l.l_extendedprice * (1 - l.l_discount)) as revenue,
           count(distinct o.o_orderkey) as orders,
           max(o.o_orderdate) as last_order
    from tpch.customer c
    join tpch.orders o on o.o_custkey = c.c_custkey
    join tpch.lineitem l on l.l_orderkey = o.o_orderkey
    where c.c_nationkey = :agency_id
    group by c.c_custkey
)
select rank() over by_revenue as place,
       c_name as customer,
       c_mktsegment as segment,
       orders,
       last_order,
       round(revenue, 2) as revenue,
       round(100 * revenue / sum(revenue) over (), 3) as share_in_percent,
       round(100 * sum(revenue) over by_revenue / sum(revenue) over (), 2) as share_so_far
from spent
window by_revenue as (order by revenue desc)
order by place
limit 100
