-- Regional benchmark
-- The agency beside the other nations of its region, year by year: revenue per customer, and places.
with yearly as (
    select c.c_nationkey,
           extract(year from o.o_orderdate)::integer as year,
           count(distinct c.c_custkey) as customers,
           count(*) as orders,
           sum(o.o_totalprice) as value
    from tpch.customer c
    join tpch.orders o on o.o_custkey = c.c_custkey
    join tpch.nation n on n.n_nationkey = c.c_nationkey
    where n.n_regionkey = (select n_regionkey from tpch.nation where n_nationkey = :agency_id)
    group by 1, 2
)
select y.year,
       n.n_name as nation,
       n.n_nationkey = :agency_id as is_us,
       y.customers,
       round(y.value / y.customers, 2) as value_per_customer,
       rank() over (partition by y.year order by y.value / y.customers desc) as place,
       round(100 * y.value / sum(y.value) over (partition by y.year), 2) as share_of_region
from yearly y
join tpch.nation n on n.n_nationkey = y.c_nationkey
order by year, place
