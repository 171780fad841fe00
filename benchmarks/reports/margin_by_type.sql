-- Margin by kind of part
-- What the agency's suppliers earn, by finish, treatment and metal, with every subtotal.
with sold as (
    select string_to_array(p.p_type, ' ') as kind,
           l.l_extendedprice * (1 - l.l_discount) as revenue,
           ps.ps_supplycost * l.l_quantity as cost
    from tpch.supplier s
    join tpch.lineitem l on l.l_suppkey = s.s_suppkey
    join tpch.part p on p.p_partkey = l.l_partkey
    join tpch.partsupp ps on ps.ps_partkey = l.l_partkey and ps.ps_suppkey = l.l_suppkey
    where s.s_nationkey = :agency_id
)
select coalesce(kind[1], 'all') as finish,
       coalesce(kind[2], 'all') as treatment,
       coalesce(kind[3], 'all') as metal,
       count(*) as lines,
       round(sum(revenue), 2) as revenue,
       round(sum(revenue - cost), 2) as margin,
       round(100 * sum(revenue - cost) / sum(revenue), 2) as margin_in_percent
from sold
group by cube (kind[1], kind[2], kind[3])
order by finish, treatment, metal
