-- Back to normal after the worst days
--
-- Envoy's twenty days with the largest average delay, and how long each took to get over: the first later day
-- on which the average was no worse than the year's median day.
with daily as (
    select make_date(f.year, f.month, f.day) as flight_date,
           count(*) as flights,
           count(*) filter (where f.dep_time is null) as cancelled,
           avg(f.dep_delay) as avg_delay
    from flights.flights f
    where f.carrier = 'MQ'
    group by f.year, f.month, f.day
), usual as (
    select percentile_cont(0.5) within group (order by d.avg_delay) as avg_delay
    from daily d
), worst as (
    select d.*
    from daily d
    where d.avg_delay is not null
    order by d.avg_delay desc
    fetch first 20 rows only
)
select w.flight_date,
       w.flights,
       w.cancelled,
       round(w.avg_delay, 1) as avg_departure_delay,
       recovered.flight_date as normal_again,
       recovered.flight_date - w.flight_date as days_to_normal,
       between_them.cancelled as cancelled_until_then
from worst w
cross join usual u
left join lateral (
    select d.flight_date
    from daily d
    where d.flight_date > w.flight_date
      and d.avg_delay <= u.avg_delay
    order by d.flight_date
    limit 1
) recovered on true
left join lateral (
    select sum(d.cancelled) as cancelled
    from daily d
    where d.flight_date >= w.flight_date
      and d.flight_date < recovered.flight_date
) between_them on true
order by w.avg_delay desc
