-- Streaks of bad days
--
-- A bad day is one on which fewer than 70 % of the flights arrived on time. One row per unbroken run of bad
-- days, the longest first.
with daily as (
    select make_date(f.year, f.month, f.day) as flight_date,
           count(*) as flights,
           avg((f.arr_delay < 15 and f.arr_delay is not null)::integer) as on_time_share,
           sum(greatest(f.arr_delay, 0)) as late_minutes
    from flights.flights f
    where f.carrier = 'WN'
    group by f.year, f.month, f.day
), bad as (
    -- Within an unbroken run the date and the row number grow alike, so their difference names the run.
    select d.*,
           d.flight_date - row_number() over (order by d.flight_date)::integer as streak
    from daily d
    where d.on_time_share < 0.7
)
select min(b.flight_date) as first_day,
       max(b.flight_date) as last_day,
       count(*) as days,
       sum(b.flights) as flights,
       round(100 * sum(b.on_time_share * b.flights) / sum(b.flights), 1) as on_time_pct,
       round(sum(b.late_minutes) / 60.0, 1) as late_hours,
       dense_rank() over (order by count(*) desc) as place
from bad b
group by b.streak
order by days desc, first_day
