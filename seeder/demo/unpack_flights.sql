-- What isn't kept in flights.csv follows from what is: a time is its schedule plus its delay, written as hours
-- times 100 plus minutes, with midnight as 2400. The file is sorted as the primary key begins, so one airline's
-- flights lie side by side on disk.
insert into flights.flights
select 2013,
       f.month,
       f.day,
       departure / 60 * 100 + departure % 60,
       f.sched_dep_time,
       f.dep_delay,
       coalesce(arrival / 60 * 100 + arrival % 60, f.arr_time),
       f.sched_arr_time,
       f.arr_delay,
       f.carrier,
       f.flight,
       f.tailnum,
       f.origin,
       f.dest,
       f.air_time,
       f.distance,
       f.sched_dep_time / 100,
       f.sched_dep_time % 100,
       make_timestamptz(2013, f.month, f.day, f.sched_dep_time / 100, 0, 0, 'America/New_York')
from packed_flights f
cross join lateral (
    select (sched_dep_time / 100 * 60 + sched_dep_time % 100 + dep_delay + 1439) % 1440 + 1 as departure,
           (sched_arr_time / 100 * 60 + sched_arr_time % 100 + arr_delay + 1439) % 1440 + 1 as arrival
) minute_of_day;
