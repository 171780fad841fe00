-- Revenue concentration
-- Which share of the customers brings which share of the revenue, in twentieths, and the Gini coefficient.
with spent as (
    select c.c_custkey, coalesce(sum(o.o_totalprice), 0) as value
    from tpch.customer c
    left join tpch.orders o on o.o_custkey = c.c_custkey
    where c.c_nationkey = :agency_id
    group by c.c_custkey
), ranked as (
    select value,
           row_number() over (order by value) as place,
           count(*) over () as customers,
           sum(value) over () as total
    from spent
), gini as (
    select round(
               2 * sum(place * value) / (max(customers) * max(total))
               - (max(customers) + 1.0) / max(customers), 4
           ) as coefficient
    from ranked
)
select ceil(20.0 * place / customers)::integer as twentieth,
       count(*) as customers,
       round(sum(value), 2) as value,
       round(100 * sum(sum(value)) over (order by ceil(20.0 * place / customers)) / max(total), 2)
           as share_so_far,
       gini.coefficient as gini
from ranked cross join gini
group by ceil(20.0 * place / customers), gini.coefficient
order by twentieth
