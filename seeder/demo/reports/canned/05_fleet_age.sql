-- Age of the fleet
--
-- The aircraft that flew for the airline, by age in 2013 and by maker. The registry doesn't know every tail
-- number (American and Envoy report fleet numbers instead), and those are in the band "not in the registry".
with aircraft as (
    select f.tailnum,
           count(*) filter (where f.dep_time is not null) as departures,
           sum(f.air_time) as minutes_in_the_air,
           sum(f.distance) filter (where f.air_time is not null) as miles
    from flights.flights f
    where f.carrier = upper(:agency_slug)
      and f.tailnum is not null
    group by f.tailnum
), aged as (
    select a.*,
           2013 - p.year as age,
           p.seats,
           case p.manufacturer
               when 'AIRBUS INDUSTRIE' then 'AIRBUS'
               when 'MCDONNELL DOUGLAS AIRCRAFT CO' then 'MCDONNELL DOUGLAS'
               when 'MCDONNELL DOUGLAS CORPORATION' then 'MCDONNELL DOUGLAS'
               else p.manufacturer
           end as maker,
           case
               when p.tailnum is null then 'not in the registry'
               when p.year is null then 'year unknown'
               when p.year > 2008 then 'under 5 years'
               when p.year > 2003 then '5 to 9 years'
               when p.year > 1993 then '10 to 19 years'
               else '20 years and more'
           end as age_band
    from aircraft a
    left join flights.planes p on p.tailnum = a.tailnum
)
select a.age_band,
       case when grouping(a.maker) = 1 then 'all makers' else coalesce(a.maker, 'unknown') end as maker,
       count(*) as aircraft,
       min(a.age) as youngest,
       max(a.age) as oldest,
       round(avg(a.seats)) as avg_seats,
       sum(a.departures) as departures,
       round(sum(a.minutes_in_the_air) / 60.0) as hours_in_the_air,
       sum(a.miles * a.seats) as seat_miles,
       round(
           100.0 * sum(a.departures) / nullif(sum(sum(a.departures)) over (partition by grouping(a.maker)), 0), 1
       ) as share_of_departures_pct
from aged a
group by grouping sets ((a.age_band, a.maker), (a.age_band))
order by min(a.age) nulls last, a.age_band, grouping(a.maker) desc, aircraft desc, maker
