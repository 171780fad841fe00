-- Aircraft utilisation
--
-- One row per aircraft that American flew out of New York: how often, how long it was away between two
-- departures, and its quarter of the fleet by hours in the air (1 flies most).
--
-- seeder: unique=(tailnum) index=(departures) expect=(rows > 0, rows_change < 20%)
with departures as (
    select f.tailnum,
           f.time_hour,
           f.air_time,
           f.distance,
           f.dest,
           f.time_hour - lag(f.time_hour) over (partition by f.tailnum order by f.time_hour) as since_last
    from flights.flights f
    where f.carrier = 'AA'
      and f.tailnum is not null
      and f.dep_time is not null
), aircraft as (
    select d.tailnum,
           count(*) as departures,
           count(distinct d.dest) as destinations,
           min(d.time_hour at time zone 'America/New_York')::date as first_seen,
           max(d.time_hour at time zone 'America/New_York')::date as last_seen,
           sum(d.air_time) / 60.0 as hours_in_the_air,
           sum(d.distance) as miles,
           percentile_disc(0.5) within group (order by d.since_last) as usual_time_between,
           max(d.since_last) as longest_time_between
    from departures d
    group by d.tailnum
)
select a.tailnum,
       coalesce(p.manufacturer || ' ' || p.model, 'not in the registry') as aircraft,
       p.seats,
       a.departures,
       a.destinations,
       a.first_seen,
       a.last_seen,
       round(a.hours_in_the_air, 1) as hours_in_the_air,
       a.miles,
       round((extract(epoch from a.usual_time_between) / 3600)::numeric, 1) as usual_hours_between,
       round((extract(epoch from a.longest_time_between) / 86400)::numeric, 1) as longest_days_between,
       ntile(4) over (order by a.hours_in_the_air desc nulls last, a.tailnum) as utilisation_quarter
from aircraft a
left join flights.planes p on p.tailnum = a.tailnum
order by a.tailnum
