-- Departure banks at Newark
--
-- A hub sends its flights off in waves. One row per half hour of the schedule at Newark: how many leave on an
-- average working day and at the weekend, and how well.
with departures as (
    select date_bin(
               interval '30 minutes',
               make_timestamp(f.year, f.month, f.day, f.hour, f.minute, 0),
               timestamp '2013-01-01'
           ) as half_hour,
           f.dep_delay
    from flights.flights f
    where f.carrier = 'UA'
      and f.origin = 'EWR'
), labelled as (
    select d.half_hour::time as bank,
           d.half_hour::date as flight_date,
           extract(isodow from d.half_hour) > 5 as is_weekend,
           d.dep_delay
    from departures d
), days as (
    select count(distinct l.flight_date) filter (where not l.is_weekend) as working_days,
           count(distinct l.flight_date) filter (where l.is_weekend) as weekend_days
    from labelled l
)
select l.bank,
       round(1.0 * count(*) filter (where not l.is_weekend) / days.working_days, 1) as departures_per_working_day,
       round(1.0 * count(*) filter (where l.is_weekend) / days.weekend_days, 1) as departures_per_weekend_day,
       round(100.0 * count(*) filter (where l.dep_delay is null) / count(*), 1) as cancelled_pct,
       round(avg(l.dep_delay), 1) as avg_departure_delay,
       mode() within group (order by l.dep_delay) as most_frequent_delay,
       rank() over (order by count(*) desc) as busiest
from labelled l
cross join days
group by l.bank, days.working_days, days.weekend_days
order by l.bank
