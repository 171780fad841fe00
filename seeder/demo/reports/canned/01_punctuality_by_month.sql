-- Punctuality by month
--
-- One row per month and one for the year (month is null). On time means at the gate less than 15 minutes
-- late, as the US Department of Transportation counts; cancelled and diverted flights aren't on time.
with monthly as (
    select f.month,
           count(*) as flights,
           count(*) filter (where f.dep_time is null) as cancelled,
           count(*) filter (where f.dep_time is not null and f.arr_delay is null) as diverted,
           count(*) filter (where f.arr_delay < 15) as on_time,
           round(avg(f.dep_delay), 1) as avg_departure_delay,
           round(avg(f.arr_delay), 1) as avg_arrival_delay,
           percentile_cont(0.5) within group (order by f.arr_delay) as median_arrival_delay,
           percentile_cont(0.9) within group (order by f.arr_delay) as p90_arrival_delay
    from flights.flights f
    where f.carrier = upper(:agency_slug)
    group by rollup (f.month)
)
select m.month,
       to_char(make_date(2013, m.month, 1), 'Mon') as month_name,
       m.flights,
       m.cancelled,
       m.diverted,
       round(100.0 * m.on_time / m.flights, 1) as on_time_pct,
       round(
           100.0 * m.on_time / m.flights
           - lag(100.0 * m.on_time / m.flights) over (partition by m.month is null order by m.month), 1
       ) as points_since_month_before,
       m.avg_departure_delay,
       m.avg_arrival_delay,
       round(m.median_arrival_delay::numeric, 1) as median_arrival_delay,
       round(m.p90_arrival_delay::numeric, 1) as p90_arrival_delay
from monthly m
order by m.month nulls last
