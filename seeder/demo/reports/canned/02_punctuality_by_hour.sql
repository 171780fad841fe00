-- Punctuality by hour of departure
--
-- One row per airport and scheduled hour, and one per hour over all airports (origin is null): delays build
-- up over the day. typical_delay is the middle half of the departures, from the 25th to the 75th percentile.
select f.origin,
       f.hour as scheduled_hour,
       count(*) as flights,
       count(*) filter (where f.dep_time is null) as cancelled,
       round(100.0 * count(*) filter (where f.dep_delay < 15) / count(*), 1) as left_on_time_pct,
       round(avg(f.dep_delay), 1) as avg_departure_delay,
       format(
           '%s to %s',
           percentile_disc(0.25) within group (order by f.dep_delay),
           percentile_disc(0.75) within group (order by f.dep_delay)
       ) as typical_delay,
       max(f.dep_delay) as longest_delay,
       round(
           avg(f.dep_delay) - first_value(avg(f.dep_delay)) over (
               partition by grouping(f.origin), f.origin order by f.hour
           ), 1
       ) as minutes_worse_than_first_hour
from flights.flights f
where f.carrier = upper(:agency_slug)
group by grouping sets ((f.origin, f.hour), (f.hour))
order by f.origin nulls first, f.hour
