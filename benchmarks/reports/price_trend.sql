-- Price trend
-- The average price of a piece by brand and quarter, smoothed over a year, and its change in a year.
with quarterly as (
    select p.p_brand,
           date_trunc('quarter', o.o_orderdate)::date as quarter,
           sum(l.l_extendedprice) / sum(l.l_quantity) as price,
           sum(l.l_quantity) as pieces
    from tpch.supplier s
    join tpch.lineitem l on l.l_suppkey = s.s_suppkey
    join tpch.orders o on o.o_orderkey = l.l_orderkey
    join tpch.part p on p.p_partkey = l.l_partkey
    where s.s_nationkey = :agency_id
    group by 1, 2
)
select p_brand as brand,
       quarter,
       pieces,
       round(price, 2) as price,
       round(avg(price) over (partition by p_brand order by quarter rows 3 preceding), 2) as year_price,
       round(100 * (price / lag(price, 4) over (partition by p_brand order by quarter) - 1), 2)
           as change_in_percent
from quarterly
order by brand, quarter
