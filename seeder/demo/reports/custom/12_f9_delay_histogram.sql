-- Histogram of arrival delays
--
-- Frontier's arrivals in Denver in steps of 15 minutes, from an hour early to four hours late; what lies
-- outside is one step at either end. Empty steps are listed too, as a chart wants them.
with steps as (
    select width_bucket(f.arr_delay, -60, 240, 20) as step,
           count(*) as flights
    from flights.flights f
    where f.carrier = 'F9'
      and f.arr_delay is not null
    group by step
)
select s.step,
       case
           when s.step = 0 then 'before -60'
           when s.step <= 20 then format('%s to %s', s.step * 15 - 75, s.step * 15 - 61)
           else '240 and more'
       end as minutes_late,
       coalesce(h.flights, 0) as flights,
       round(100.0 * coalesce(h.flights, 0) / sum(h.flights) over (), 2) as share_pct,
       round(100.0 * sum(h.flights) over (order by s.step) / sum(h.flights) over (), 2) as share_so_far_pct,
       repeat('#', (60 * h.flights / max(h.flights) over ())::integer) as bar
from generate_series(0, 21) as s (step)
left join steps h on h.step = s.step
order by s.step
