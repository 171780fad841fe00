-- Market share
-- The share of the agency's suppliers in what their region's customers bought, by year and kind of metal.
select extract(year from o.o_orderdate)::integer as year,
       split_part(p.p_type, ' ', 3) as metal,
       round(sum(l.l_extendedprice * (1 - l.l_discount)), 2) as market,
       round(coalesce(sum(l.l_extendedprice * (1 - l.l_discount))
           filter (where s.s_nationkey = :agency_id), 0), 2) as ours,
       round(100 * coalesce(sum(l.l_extendedprice * (1 - l.l_discount))
           filter (where s.s_nationkey = :agency_id), 0)
           / sum(l.l_extendedprice * (1 - l.l_discount)), 2) as share_in_percent
from tpch.nation us
join tpch.nation neighbour on neighbour.n_regionkey = us.n_regionkey
join tpch.customer c on c.c_nationkey = neighbour.n_nationkey
join tpch.orders o on o.o_custkey = c.c_custkey
join tpch.lineitem l on l.l_orderkey = o.o_orderkey
join tpch.part p on p.p_partkey = l.l_partkey
join tpch.supplier s on s.s_suppkey = l.l_suppkey
where us.n_nationkey = :agency_id
group by 1, 2
order by year, metal
