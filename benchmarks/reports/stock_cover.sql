-- Stock cover
-- For how many weeks the stock of the agency's suppliers lasts at the pace of the data's last year.
with until_day as (
    select max(l_shipdate) as day from tpch.lineitem
), sold as (
    select l.l_partkey, l.l_suppkey, sum(l.l_quantity) as pieces
    from tpch.lineitem l, until_day
    where l.l_shipdate > until_day.day - interval '1 year'
    group by l.l_partkey, l.l_suppkey
)
select s.s_name as supplier,
       p.p_name as part,
       p.p_brand as brand,
       ps.ps_availqty as in_stock,
       coalesce(sold.pieces, 0) as sold_in_a_year,
       round(52 * ps.ps_availqty / nullif(sold.pieces, 0), 1) as weeks_left,
       round(ps.ps_availqty * ps.ps_supplycost, 2) as bound_capital
from tpch.supplier s
join tpch.partsupp ps on ps.ps_suppkey = s.s_suppkey
join tpch.part p on p.p_partkey = ps.ps_partkey
left join sold on sold.l_partkey = ps.ps_partkey and sold.l_suppkey = ps.ps_suppkey
where s.s_nationkey = :agency_id
order by weeks_left nulls last, supplier
