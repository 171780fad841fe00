-- Dormant customers
-- Customers with money on their account who bought once, but not in the last year of the data.
with today as (
    select max(o_orderdate) as day from tpch.orders
), last_orders as (
    select o_custkey, max(o_orderdate) as last_order, count(*) as orders, sum(o_totalprice) as spent
    from tpch.orders
    group by o_custkey
)
select c.c_name as customer,
       c.c_phone as phone,
       c.c_mktsegment as segment,
       c.c_acctbal as balance,
       coalesce(h.orders, 0) as orders,
       coalesce(h.spent, 0) as spent,
       h.last_order,
       today.day - h.last_order as days_ago
from tpch.customer c
cross join today
left join last_orders h on h.o_custkey = c.c_custkey
where c.c_nationkey = :agency_id
  and c.c_acctbal > 0
  and (h.last_order is null or h.last_order < today.day - interval '1 year')
order by balance desc
