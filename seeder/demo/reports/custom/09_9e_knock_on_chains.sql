-- Knock-on delays of one aircraft
--
-- A regional jet leaves New York several times a day. A chain begins with a departure 30 minutes late or more
-- and goes on as long as the same aircraft's next departures that day are late as well. Chains of two or more.
with recursive legs as (
    select f.tailnum,
           make_date(f.year, f.month, f.day) as flight_date,
           row_number() over (
               partition by f.tailnum, f.month, f.day order by f.sched_dep_time, f.flight
           ) as leg,
           f.dest,
           f.dep_delay
    from flights.flights f
    where f.carrier = '9E'
      and f.dep_delay is not null
), late as (
    select l.* from legs l where l.dep_delay >= 30
), chains as (
    select l.tailnum,
           l.flight_date,
           l.leg as first_leg,
           l.leg as last_leg,
           l.dest as route,
           l.dep_delay as first_delay,
           l.dep_delay as last_delay,
           l.dep_delay::integer as minutes_lost
    from late l
    where not exists (
        select
        from late before
        where before.tailnum = l.tailnum
          and before.flight_date = l.flight_date
          and before.leg = l.leg - 1
    )
    union all
    select c.tailnum,
           c.flight_date,
           c.first_leg,
           l.leg,
           c.route || ' ' || l.dest,
           c.first_delay,
           l.dep_delay,
           c.minutes_lost + l.dep_delay
    from chains c
    join late l on l.tailnum = c.tailnum and l.flight_date = c.flight_date and l.leg = c.last_leg + 1
)
select distinct on (c.flight_date, c.tailnum, c.first_leg)
       c.flight_date,
       c.tailnum,
       c.first_leg,
       c.last_leg - c.first_leg + 1 as departures,
       c.route as destinations,
       c.first_delay,
       c.last_delay,
       c.last_delay > c.first_delay as got_worse,
       c.minutes_lost
from chains c
where c.last_leg > c.first_leg
order by c.flight_date, c.tailnum, c.first_leg, c.last_leg desc
