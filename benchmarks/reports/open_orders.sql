-- Open orders
-- What is still to be delivered to the agency's customers: by age and priority, with totals.
with today as (
    select max(o_orderdate) as day from tpch.orders
), open_lines as (
    select o.o_orderkey, o.o_orderpriority, today.day - o.o_orderdate as age,
           l.l_extendedprice * (1 - l.l_discount) * (1 + l.l_tax) as value
    from tpch.customer c
    join tpch.orders o on o.o_custkey = c.c_custkey
    join tpch.lineitem l on l.l_orderkey = o.o_orderkey
    cross join today
    where c.c_nationkey = :agency_id and o.o_orderstatus <> 'F' and l.l_linestatus = 'O'
), aged as (
    select *,
           case when age <= 30 then '0 to 30 days'
                when age <= 90 then '31 to 90 days'
                when age <= 365 then '91 to 365 days'
                else 'more than a year' end as age_group
    from open_lines
)
select coalesce(age_group, 'all') as age,
       coalesce(o_orderpriority, 'all') as priority,
       count(distinct o_orderkey) as orders,
       count(*) as lines,
       round(sum(value), 2) as value
from aged
group by cube (age_group, o_orderpriority)
order by age, priority
