-- Summer peak (no longer used)
--
-- Was Delta's daily figure for June to August; the canned report on daily operations has it now, so that the
-- manifest is switched off. Nothing is created or refreshed for it.
select make_date(f.year, f.month, f.day) as flight_date,
       count(*) as flights,
       round(avg(f.dep_delay), 1) as avg_departure_delay
from flights.flights f
where f.carrier = 'DL'
  and f.month between 6 and 8
group by f.year, f.month, f.day
order by flight_date
