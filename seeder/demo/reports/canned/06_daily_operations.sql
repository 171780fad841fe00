-- Daily operations
--
-- One row per day of 2013, days without a flight included, with the average of the last seven days and how
-- far a day stands out from the airline's usual one (in standard deviations).
--
-- seeder: unique=(flight_date) expect=(rows = 365)
with daily as (
    select make_date(f.year, f.month, f.day) as flight_date,
           count(*) as scheduled,
           count(f.dep_time) as departed,
           count(*) filter (where f.arr_delay < 15) as on_time,
           sum(f.dep_delay) as delay_minutes,
           avg(f.dep_delay) as avg_delay
    from flights.flights f
    where f.carrier = upper(:agency_slug)
    group by f.year, f.month, f.day
)
select c.day::date as flight_date,
       extract(isodow from c.day)::integer as weekday,
       coalesce(d.scheduled, 0) as scheduled,
       coalesce(d.scheduled - d.departed, 0) as cancelled,
       round(100.0 * d.on_time / d.scheduled, 1) as on_time_pct,
       round(d.avg_delay, 1) as avg_departure_delay,
       round(1.0 * sum(d.delay_minutes) over last_week / nullif(sum(d.departed) over last_week, 0), 1)
           as avg_departure_delay_7_days,
       round((d.avg_delay - avg(d.avg_delay) over ()) / nullif(stddev_samp(d.avg_delay) over (), 0), 2)
           as standard_deviations_from_usual
from generate_series(timestamp '2013-01-01', timestamp '2013-12-31', interval '1 day') as c (day)
left join daily d on d.flight_date = c.day
window last_week as (order by c.day range between interval '6 days' preceding and current row)
order by flight_date
