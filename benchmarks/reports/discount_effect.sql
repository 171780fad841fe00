-- Effect of discounts
-- By discount: how much is bought at a time, and what is left over the supplier's cost.
select l.l_discount as discount,
       count(*) as lines,
       round(avg(l.l_quantity), 2) as pieces_per_line,
       round(sum(l.l_extendedprice * (1 - l.l_discount)), 2) as revenue,
       round(sum(l.l_extendedprice * (1 - l.l_discount) - ps.ps_supplycost * l.l_quantity), 2) as margin,
       round(100 * sum(l.l_extendedprice * (1 - l.l_discount) - ps.ps_supplycost * l.l_quantity)
           / sum(l.l_extendedprice * (1 - l.l_discount)), 2) as margin_in_percent,
       round(corr(l.l_quantity, l.l_extendedprice)::numeric, 4) as quantity_and_price
from tpch.customer c
join tpch.orders o on o.o_custkey = c.c_custkey
join tpch.lineitem l on l.l_orderkey = o.o_orderkey
join tpch.partsupp ps on ps.ps_partkey = l.l_partkey and ps.ps_suppkey = l.l_suppkey
where c.c_nationkey = :agency_id
group by l.l_discount
order by discount
