-- Cost ranking
-- Where the agency's suppliers stand among all who offer the same part, and what the cheapest one asks.
with offers as (
    select ps_partkey, ps_suppkey, ps_supplycost,
           rank() over per_part as place,
           min(ps_supplycost) over (partition by ps_partkey) as cheapest,
           count(*) over (partition by ps_partkey) as rivals
    from tpch.partsupp
    window per_part as (partition by ps_partkey order by ps_supplycost)
)
select s.s_name as supplier,
       count(*) as parts,
       count(*) filter (where o.place = 1) as cheapest_at,
       round(avg(o.place), 2) as mean_place,
       round(100 * avg(o.ps_supplycost / o.cheapest - 1), 1) as above_cheapest_in_percent
from offers o
join tpch.supplier s on s.s_suppkey = o.ps_suppkey
where s.s_nationkey = :agency_id and o.rivals > 1
group by s.s_suppkey
order by mean_place
