-- Supplier scorecard
-- Each of the agency's suppliers: turnover, returns, punctuality, and their places among each other and all.
with figures as (
    select l.l_suppkey,
           sum(l.l_extendedprice * (1 - l.l_discount)) as turnover,
           avg((l.l_returnflag = 'R')::integer) as returned,
           avg((l.l_receiptdate > l.l_commitdate)::integer) as late
    from tpch.lineitem l
    group by l.l_suppkey
), placed as (
    select *,
           percent_rank() over (order by turnover desc) as turnover_place,
           percent_rank() over (order by returned) as returned_place,
           percent_rank() over (order by late) as late_place
    from figures
)
select s.s_name as supplier,
       s.s_acctbal as balance,
       round(p.turnover, 2) as turnover,
       round(100 * p.returned, 2) as returned_in_percent,
       round(100 * p.late, 2) as late_in_percent,
       rank() over (order by p.turnover_place + p.returned_place + p.late_place) as place_in_agency,
       round(100 * p.turnover_place) as turnover_percentile
from placed p
join tpch.supplier s on s.s_suppkey = p.l_suppkey
where s.s_nationkey = :agency_id
order by place_in_agency
