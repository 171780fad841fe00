-- Time on the ground
--
-- Mesa's minutes between pushing back and taking off, and between landing and the gate, by airport. It has a
-- slip in it that only PostgreSQL can find: run it to see how a failing report is recorded.
select f.origin,
       f.dest,
       count(*) as flights,
       round(avg(f.dep_dealy), 1) as avg_departure_delay,
       round(avg(f.arr_delay - f.dep_delay), 1) as avg_minutes_lost_on_the_way
from flights.flights f
where f.carrier = 'YV'
group by f.origin, f.dest
order by flights desc
