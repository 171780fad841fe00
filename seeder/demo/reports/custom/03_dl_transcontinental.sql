-- Transcontinental: Delta and the others
--
-- From JFK to the west coast, by month: Delta beside American, JetBlue, United and Virgin America. Median
-- arrival delay in minutes, and Delta's lead over the best of the others (negative: behind).
with medians as (
    select f.dest,
           f.month,
           count(*) filter (where f.carrier = 'DL') as delta_flights,
           count(*) filter (where f.carrier <> 'DL') as other_flights,
           percentile_cont(0.5) within group (order by f.arr_delay) filter (where f.carrier = 'DL') as delta,
           percentile_cont(0.5) within group (order by f.arr_delay) filter (where f.carrier = 'AA') as american,
           percentile_cont(0.5) within group (order by f.arr_delay) filter (where f.carrier = 'B6') as jetblue,
           percentile_cont(0.5) within group (order by f.arr_delay) filter (where f.carrier = 'UA') as united,
           percentile_cont(0.5) within group (order by f.arr_delay) filter (where f.carrier = 'VX') as virgin_america
    from flights.flights f
    where f.origin = 'JFK'
      and f.dest in ('LAX', 'SAN', 'SEA', 'SFO')
    group by f.dest, f.month
)
select m.dest,
       make_date(2013, m.month, 1) as month,
       m.delta_flights,
       m.other_flights,
       m.delta,
       m.american,
       m.jetblue,
       m.united,
       m.virgin_america,
       least(m.american, m.jetblue, m.united, m.virgin_america) - m.delta as minutes_ahead_of_best_other
from medians m
where m.delta_flights > 0
order by m.dest, m.month
