-- Worst routes
--
-- Every route, the one that costs passengers most first: late_hours adds up the arrivals' delays, and
-- share_of_late_hours_so_far says how much of the whole the routes down to this one make up.
with routes as (
    select f.origin,
           f.dest,
           count(*) as flights,
           count(*) filter (where f.dep_time is null) as cancelled,
           round(100.0 * count(*) filter (where f.arr_delay >= 15) / count(*), 1) as late_pct,
           sum(greatest(f.arr_delay, 0)) / 60.0 as late_hours,
           percentile_cont(array[0.5, 0.9, 0.99]) within group (order by f.arr_delay) as delay_percentiles
    from flights.flights f
    where f.carrier = upper(:agency_slug)
    group by f.origin, f.dest
)
select rank() over worst_first as place,
       r.origin,
       r.dest,
       coalesce(a.name, r.dest) as destination,
       r.flights,
       r.cancelled,
       r.late_pct,
       round(r.late_hours, 1) as late_hours,
       round(
           100 * sum(r.late_hours) over worst_first / nullif(sum(r.late_hours) over (), 0), 1
       ) as share_of_late_hours_so_far,
       round(r.delay_percentiles[1]::numeric, 1) as median_delay,
       round(r.delay_percentiles[2]::numeric, 1) as p90_delay,
       round(r.delay_percentiles[3]::numeric, 1) as p99_delay
from routes r
left join flights.airports a on a.faa = r.dest
window worst_first as (order by r.late_hours desc nulls last)
order by place, r.origin, r.dest
