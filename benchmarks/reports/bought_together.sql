-- Bought together
-- Pairs of brands in one order, and how much more often they meet than chance would have it.
with baskets as (
    select distinct o.o_orderkey, p.p_brand
    from tpch.customer c
    join tpch.orders o on o.o_custkey = c.c_custkey
    join tpch.lineitem l on l.l_orderkey = o.o_orderkey
    join tpch.part p on p.p_partkey = l.l_partkey
    where c.c_nationkey = :agency_id
), brands as (
    select p_brand, count(*) as orders from baskets group by p_brand
), total as (
    select count(distinct o_orderkey) as orders from baskets
)
select a.p_brand as brand,
       b.p_brand as other,
       count(*) as together,
       round(count(*)::numeric * total.orders / (x.orders * y.orders), 3) as lift
from baskets a
join baskets b on b.o_orderkey = a.o_orderkey and b.p_brand > a.p_brand
join brands x on x.p_brand = a.p_brand
join brands y on y.p_brand = b.p_brand
cross join total
group by a.p_brand, b.p_brand, total.orders, x.orders, y.orders
having count(*) >= 5
order by lift desc
