-- The example of the pictures in night.md: reports that read each other, of an airline's agency. One of them
-- fails, and forty read it; another one takes long, and a chain of five stands on it.

create schema if not exists app;

create table if not exists app.crew_hour (airport integer, day date, hours integer, cost integer);
insert into app.crew_hour
select g % 40, current_date - g % 30, 1 + g % 9, 40 * (1 + g % 9) from generate_series(1, 9000) as g;

create table if not exists app.flight (airport integer, day date, delay integer);
insert into app.flight
select g % 40, current_date - g % 400, g * 7919 % 500 from generate_series(1, 60000) as g;

insert into reporting.seeder_custom_report_manifest
    (id, table_name, report_name, agency_id, agency_slug, query, enabled)
values
    (1, 'flights_clean', 'Flights, clean', 7, 'ev',
     'select airport, day, delay from app.flight'
     ' where (select count(*) from generate_series(1, 100000000)) > 0', true),
    (2, 'airport_days', 'Airports by day', 7, 'ev',
     'select airport, day, count(*) as flights, max(delay) as longest from flights_clean group by airport, day',
     true),
    (3, 'airport_weeks', 'Airports by week', 7, 'ev',
     'select airport, date_trunc(''week'', day) as week, sum(flights) as flights, max(longest) as longest'
     ' from airport_days group by airport, week', true),
    (4, 'airport_years', 'Airports by year', 7, 'ev',
     'select airport, date_trunc(''year'', week) as year, sum(flights) as flights, max(longest) as longest'
     ' from airport_weeks group by airport, year', true),
    (5, 'airport_records', 'Records of airports', 7, 'ev',
     'select airport, max(longest) as longest from airport_years group by airport', true),
    (6, 'record_holders', 'Holders of records', 7, 'ev',
     'select airport, longest from airport_records order by longest desc limit 3', true),
    (7, 'crew_costs', 'Crew costs', 7, 'ev',
     'select airport, day, sum(cost) / sum(hours) as per_hour from app.crew_hour group by airport, day', true);

insert into reporting.seeder_custom_report_manifest
    (id, table_name, report_name, agency_id, agency_slug, query, enabled)
select 100 + airport, 'crew_costs_of_' || airport, 'Crew costs of airport ' || airport, 7, 'ev',
       'select day, per_hour from crew_costs where airport = ' || airport, true
from generate_series(1, 40) as airport;
