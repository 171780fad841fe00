-- The log of the flight to Honolulu
--
-- The longest flight out of New York, once a day. One row per day: the flight, its aircraft, the wind it left
-- in, and whether it was the fastest or slowest of the year so far.
--
-- seeder: unique=(flight_date) timeout=5min
-- seeder: expect=(rows > 0, rows_change < 20%, not_null(flight_date, tailnum))
select make_date(f.year, f.month, f.day) as flight_date,
       f.flight,
       f.tailnum,
       p.model,
       2013 - p.year as age_of_aircraft,
       f.dep_delay,
       f.arr_delay,
       make_interval(mins => f.air_time) as time_in_the_air,
       round(f.distance / (f.air_time / 60.0)) as miles_per_hour,
       round(w.wind_speed::numeric, 1) as wind_speed,
       w.wind_dir,
       case f.air_time
           when min(f.air_time) over so_far then 'fastest so far'
           when max(f.air_time) over so_far then 'slowest so far'
       end as remarkable,
       round(avg(f.air_time) over (order by f.time_hour rows between 13 preceding and current row), 1)
           as avg_air_time_14_flights
from flights.flights f
left join flights.planes p on p.tailnum = f.tailnum
left join flights.weather w on w.origin = f.origin and w.time_hour = f.time_hour
where f.carrier = 'HA'
window so_far as (order by f.time_hour)
order by flight_date
