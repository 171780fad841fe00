-- Newark to Seattle in percentiles
--
-- Alaska flies one route from New York. One row per quarter of the year and percentile, for a chart: minutes
-- late at the gate, minutes in the air.
with quarters as (
    select date_trunc('quarter', make_timestamp(f.year, f.month, f.day, 0, 0, 0))::date as quarter,
           count(*) as flights,
           percentile_cont(array[0.05, 0.25, 0.5, 0.75, 0.95]) within group (order by f.arr_delay) as delays,
           percentile_cont(array[0.05, 0.25, 0.5, 0.75, 0.95]) within group (order by f.air_time) as air_times
    from flights.flights f
    where f.carrier = 'AS'
      and f.arr_delay is not null
    group by quarter
)
select q.quarter,
       p.percentile,
       q.flights,
       round(q.delays[p.position]::numeric, 1) as arrival_delay,
       round(q.air_times[p.position]::numeric, 1) as air_time
from quarters q
cross join unnest(array[5, 25, 50, 75, 95]) with ordinality as p (percentile, position)
order by q.quarter, p.percentile
