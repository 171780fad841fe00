-- Against the competitors
--
-- For each destination the airline serves from New York: its place among the airlines that fly there, by the
-- share of flights that arrive on time, and who comes first.
with served as (
    select distinct f.dest
    from flights.flights f
    where f.carrier = upper(:agency_slug)
), by_airline as (
    select f.dest,
           f.carrier,
           count(*) as flights,
           100.0 * count(*) filter (where f.arr_delay < 15) / count(*) as on_time_pct
    from flights.flights f
    join served s on s.dest = f.dest
    group by f.dest, f.carrier
), placed as (
    select b.*,
           rank() over (partition by b.dest order by b.on_time_pct desc) as place,
           count(*) over (partition by b.dest) as airlines,
           sum(b.flights) over (partition by b.dest) as all_flights,
           first_value(b.carrier) over (partition by b.dest order by b.on_time_pct desc, b.carrier) as leader,
           max(b.on_time_pct) over (partition by b.dest) as leaders_on_time_pct
    from by_airline b
)
select p.dest,
       coalesce(a.name, p.dest) as destination,
       p.place,
       p.airlines,
       p.flights,
       round(100.0 * p.flights / p.all_flights, 1) as market_share_pct,
       round(p.on_time_pct, 1) as on_time_pct,
       l.name as leader,
       round(p.leaders_on_time_pct, 1) as leaders_on_time_pct
from placed p
join flights.airlines l on l.carrier = p.leader
left join flights.airports a on a.faa = p.dest
where p.carrier = upper(:agency_slug)
order by p.flights desc, p.dest
