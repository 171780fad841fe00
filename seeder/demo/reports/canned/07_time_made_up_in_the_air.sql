-- Time made up in the air
--
-- How many of the minutes lost at the gate a route wins back until the arrival. A route that wins back a lot
-- even when it leaves on time has slack in its schedule. The last three columns are its best flight.
with flown as (
    select f.origin,
           f.dest,
           count(*) as flights,
           round(avg(f.air_time)) as avg_air_time,
           round(avg(f.distance / (f.air_time / 60.0))) as avg_miles_per_hour,
           round(avg(f.dep_delay - f.arr_delay), 1) as avg_minutes_made_up,
           round(avg(f.dep_delay - f.arr_delay) filter (where f.dep_delay <= 0), 1) as made_up_when_on_time,
           round(avg(f.dep_delay - f.arr_delay) filter (where f.dep_delay > 30), 1) as made_up_when_late,
           round(regr_slope(f.arr_delay, f.dep_delay)::numeric, 3) as arrival_minutes_per_departure_minute
    from flights.flights f
    where f.carrier = upper(:agency_slug)
      and f.arr_delay is not null
    group by f.origin, f.dest
)
select flown.origin,
       flown.dest,
       flown.flights,
       flown.avg_air_time,
       flown.avg_miles_per_hour,
       flown.avg_minutes_made_up,
       flown.made_up_when_on_time,
       flown.made_up_when_late,
       flown.arrival_minutes_per_departure_minute,
       best.flight_date as best_date,
       best.flight as best_flight,
       best.minutes_made_up as best_minutes_made_up
from flown
cross join lateral (
    select make_date(f.year, f.month, f.day) as flight_date,
           f.flight,
           f.dep_delay - f.arr_delay as minutes_made_up
    from flights.flights f
    where f.carrier = upper(:agency_slug)
      and f.origin = flown.origin
      and f.dest = flown.dest
      and f.arr_delay is not null
    order by minutes_made_up desc, f.time_hour, f.flight
    limit 1
) best
order by flown.avg_minutes_made_up desc, flown.origin, flown.dest
