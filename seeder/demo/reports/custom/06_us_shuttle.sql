-- The shuttle to Boston and Washington
--
-- LaGuardia's hourly shuttle, one row per destination and scheduled hour: does a traveller who misses one
-- departure get there with the next? Gaps are the minutes between departures that took place.
with shuttle as (
    select f.dest,
           f.hour,
           f.dep_time,
           f.arr_delay,
           f.time_hour + make_interval(mins => f.minute + f.dep_delay) as departed
    from flights.flights f
    where f.carrier = 'US'
      and f.origin = 'LGA'
      and f.dest in ('BOS', 'DCA')
), spaced as (
    select s.*,
           lead(s.departed) over (partition by s.dest order by s.departed) - s.departed as gap
    from shuttle s
)
select s.dest,
       s.hour,
       count(*) as scheduled,
       count(*) filter (where s.dep_time is null) as cancelled,
       round(100.0 * count(*) filter (where s.arr_delay < 15) / count(*), 1) as on_time_pct,
       round((extract(epoch from percentile_cont(0.5) within group (order by s.gap)
           filter (where s.gap < interval '6 hours')) / 60)::numeric, 1) as median_gap_minutes,
       round((extract(epoch from percentile_cont(0.95) within group (order by s.gap)
           filter (where s.gap < interval '6 hours')) / 60)::numeric, 1) as p95_gap_minutes,
       sum(count(*)) over (partition by s.dest order by s.hour) as scheduled_so_far
from spaced s
group by s.dest, s.hour
order by s.dest, s.hour
