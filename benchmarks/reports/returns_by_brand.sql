-- Returns by brand
-- What the agency's customers sent back, by manufacturer and brand, with subtotals.
select coalesce(p.p_mfgr, 'all') as manufacturer,
       coalesce(p.p_brand, 'all') as brand,
       count(*) as lines,
       count(*) filter (where l.l_returnflag = 'R') as returned,
       round(100.0 * count(*) filter (where l.l_returnflag = 'R') / count(*), 2) as returned_in_percent,
       round(coalesce(sum(l.l_extendedprice * (1 - l.l_discount)) filter (where l.l_returnflag = 'R'), 0), 2)
           as refunded
from tpch.customer c
join tpch.orders o on o.o_custkey = c.c_custkey
join tpch.lineitem l on l.l_orderkey = o.o_orderkey
join tpch.part p on p.p_partkey = l.l_partkey
where c.c_nationkey = :agency_id
group by rollup (p.p_mfgr, p.p_brand)
order by manufacturer, brand
