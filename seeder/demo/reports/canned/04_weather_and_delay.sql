-- Weather and delay
--
-- The weather at the airport in the scheduled hour of departure against what it did to the flights. A flight
-- in several kinds of bad weather counts for the first of them; hours without a record are "unknown".
with departures as (
    select f.origin,
           f.dep_delay,
           f.dep_time is null as is_cancelled,
           case
               when w.time_hour is null then 'unknown'
               when w.precip > 0 and w.temp <= 34 then 'snow or ice'
               when w.visib < 2 then 'fog'
               when w.precip >= 0.1 then 'heavy rain'
               when w.wind_gust >= 35 or w.wind_speed >= 25 then 'strong wind'
               when w.precip > 0 then 'light rain'
               else 'fair'
           end as conditions
    from flights.flights f
    left join flights.weather w on w.origin = f.origin and w.time_hour = f.time_hour
    where f.carrier = upper(:agency_slug)
), by_conditions as (
    select d.origin,
           d.conditions,
           count(*) as flights,
           count(*) filter (where d.is_cancelled) as cancelled,
           avg(d.dep_delay) as avg_delay,
           percentile_cont(0.9) within group (order by d.dep_delay) as p90_delay
    from departures d
    group by d.origin, rollup (d.conditions)
)
select b.origin,
       coalesce(b.conditions, 'all') as conditions,
       b.flights,
       round(100.0 * b.flights / nullif(whole.flights, 0), 2) as share_of_flights_pct,
       round(100.0 * b.cancelled / b.flights, 2) as cancelled_pct,
       round(b.avg_delay, 1) as avg_departure_delay,
       round(b.avg_delay - fair.avg_delay, 1) as minutes_worse_than_fair,
       round(b.p90_delay::numeric, 1) as p90_departure_delay
from by_conditions b
join by_conditions whole on whole.origin = b.origin and whole.conditions is null
left join by_conditions fair on fair.origin = b.origin and fair.conditions = 'fair'
order by b.origin, b.conditions is null, b.flights desc
