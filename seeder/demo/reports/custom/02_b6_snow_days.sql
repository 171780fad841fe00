-- Snow days
--
-- Days with snow or ice at JFK, one row each: how bad the weather was, when it was at its worst, and what became
-- of JetBlue's flights that day and the day after.
with snow as (
    select w.year,
           w.month,
           w.day,
           count(*) as hours_of_snow,
           sum(w.precip) as inches_as_water,
           min(w.temp) as lowest_temperature,
           min(w.visib) as lowest_visibility
    from flights.weather w
    where w.origin = 'JFK'
      and w.precip > 0
      and w.temp <= 34
    group by w.year, w.month, w.day
), worst as (
    select distinct on (w.month, w.day) w.month, w.day, w.hour, w.wind_gust
    from flights.weather w
    where w.origin = 'JFK'
      and w.precip > 0
      and w.temp <= 34
    order by w.month, w.day, w.visib, w.precip desc, w.hour
), operations as (
    select make_date(f.year, f.month, f.day) as flight_date,
           count(*) as scheduled,
           count(*) filter (where f.dep_time is null) as cancelled,
           avg(f.dep_delay) as avg_departure_delay
    from flights.flights f
    where f.carrier = 'B6'
      and f.origin = 'JFK'
    group by f.year, f.month, f.day
)
select today.flight_date,
       s.hours_of_snow,
       round(s.inches_as_water::numeric, 2) as inches_as_water,
       s.lowest_temperature,
       s.lowest_visibility,
       worst.hour as worst_hour,
       worst.wind_gust as gust_in_worst_hour,
       today.scheduled,
       today.cancelled,
       round(today.avg_departure_delay, 1) as avg_departure_delay,
       next_day.cancelled as cancelled_next_day,
       round(next_day.avg_departure_delay, 1) as avg_departure_delay_next_day
from snow s
join worst on worst.month = s.month and worst.day = s.day
join operations today on today.flight_date = make_date(s.year, s.month, s.day)
left join operations next_day on next_day.flight_date = today.flight_date + 1
order by today.flight_date
