-- Cancellations that were cleaned up
--
-- Someone meant to drop the flights without an aircraft from the figures, and wrote a query that drops them
-- from the table. A report only reads: this one is refused before PostgreSQL sees it.
with cleaned_up as (
    delete from flights.flights f
    where f.carrier = 'EV'
      and f.tailnum is null
    returning f.origin, f.dest, f.month
)
select c.origin, c.dest, c.month, count(*) as flights
from cleaned_up c
group by c.origin, c.dest, c.month
order by c.month, flights desc
