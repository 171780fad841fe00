-- Cancellations by airport, month and part of the week
--
-- Every combination of the three and every total of them; a column that is summed up says "all".
with cancellations as (
    select f.origin,
           to_char(make_date(f.year, f.month, 1), 'YYYY-MM') as month,
           case when extract(isodow from make_date(f.year, f.month, f.day)) > 5 then 'weekend' else 'working day' end
               as part_of_week,
           f.dep_time is null as is_cancelled,
           f.tailnum is null as is_without_aircraft
    from flights.flights f
    where f.carrier = 'EV'
)
select case when grouping(c.origin) = 1 then 'all' else c.origin end as origin,
       case when grouping(c.month) = 1 then 'all' else c.month end as month,
       case when grouping(c.part_of_week) = 1 then 'all' else c.part_of_week end as part_of_week,
       count(*) as scheduled,
       count(*) filter (where c.is_cancelled) as cancelled,
       round(100.0 * count(*) filter (where c.is_cancelled) / count(*), 2) as cancelled_pct,
       count(*) filter (where c.is_cancelled and c.is_without_aircraft) as cancelled_without_aircraft,
       grouping(c.origin, c.month, c.part_of_week) as level
from cancellations c
group by cube (c.origin, c.month, c.part_of_week)
order by level desc, origin, month, part_of_week
