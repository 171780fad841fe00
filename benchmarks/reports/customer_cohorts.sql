-- Customer cohorts
-- Of the customers who first bought in a year, how many still buy so many years later, and for how much.
with yearly as (
    select o.o_custkey as customer,
           extract(year from o.o_orderdate)::integer as year,
           sum(o.o_totalprice) as spent
    from tpch.orders o
    join tpch.customer c on c.c_custkey = o.o_custkey
    where c.c_nationkey = :agency_id
    group by 1, 2
), cohorts as (
    select *, min(year) over (partition by customer) as first_year from yearly
)
select first_year as cohort,
       year - first_year as years_later,
       count(*) as customers,
       round(100.0 * count(*) / first_value(count(*)) over (partition by first_year order by year), 1)
           as still_buying_in_percent,
       round(avg(spent), 2) as spent_each
from cohorts
group by first_year, year
order by cohort, years_later
