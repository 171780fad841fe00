-- Customer segments
-- How recently, how often and how much: each customer in fifths of each, and the groups that result.
with bought as (
    select c.c_custkey, c.c_mktsegment,
           max(o.o_orderdate) as last_order,
           count(*) as orders,
           sum(o.o_totalprice) as spent
    from tpch.customer c
    join tpch.orders o on o.o_custkey = c.c_custkey
    where c.c_nationkey = :agency_id
    group by c.c_custkey
), fifths as (
    select *,
           ntile(5) over (order by last_order) as recency,
           ntile(5) over (order by orders, c_custkey) as frequency,
           ntile(5) over (order by spent) as value
    from bought
)
select case when recency >= 4 and frequency >= 4 and value >= 4 then 'champions'
            when frequency >= 4 then 'loyal'
            when recency >= 4 then 'recent'
            when recency <= 2 and value >= 4 then 'at risk'
            else 'others' end as customer_group,
       c_mktsegment as segment,
       count(*) as customers,
       round(avg(orders), 1) as orders_each,
       round(avg(spent), 2) as spent_each,
       max(last_order) as last_order
from fifths
group by 1, 2
order by customer_group, segment
