-- Clerks
-- Who handled the agency's customers, by year: orders, their value, and the place among the clerks.
select extract(year from o.o_orderdate)::integer as year,
       o.o_clerk as clerk,
       count(*) as orders,
       count(distinct o.o_custkey) as customers,
       round(sum(o.o_totalprice), 2) as value,
       dense_rank() over (partition by extract(year from o.o_orderdate) order by sum(o.o_totalprice) desc)
           as place
from tpch.orders o
join tpch.customer c on c.c_custkey = o.o_custkey
where c.c_nationkey = :agency_id
group by 1, extract(year from o.o_orderdate), o.o_clerk
order by year, place
