-- Trade balance
-- Bought from and sold to each other nation, by year.
with trade as (
    select extract(year from o.o_orderdate)::integer as year,
           case when s.s_nationkey = :agency_id then c.c_nationkey else s.s_nationkey end as partner,
           s.s_nationkey = :agency_id as exported,
           l.l_extendedprice * (1 - l.l_discount) as value
    from tpch.lineitem l
    join tpch.orders o on o.o_orderkey = l.l_orderkey
    join tpch.customer c on c.c_custkey = o.o_custkey
    join tpch.supplier s on s.s_suppkey = l.l_suppkey
    where (s.s_nationkey = :agency_id) <> (c.c_nationkey = :agency_id)
)
select year,
       n.n_name as partner,
       round(coalesce(sum(value) filter (where exported), 0), 2) as exports,
       round(coalesce(sum(value) filter (where not exported), 0), 2) as imports,
       round(sum(case when exported then value else -value end), 2) as balance
from trade
join tpch.nation n on n.n_nationkey = trade.partner
group by year, n.n_name
order by year, partner
