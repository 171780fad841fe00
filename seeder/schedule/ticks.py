"""The ticks of a cron expression in a time zone, for beat and for planning alike.

cronsim follows Debian's cron: when clocks are set back, an entry for fixed hours runs in the first pass of
the repeated hour only; when they are set forward, right after the gap. An entry that is due each hour or more
often goes by elapsed time.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

#: Where the search for the latest tick begins. It goes on 24 times as far back each time: 2 days, 7 weeks,
#: 3 years, 75 years.
_NEAR = timedelta(hours=2)

#: How long after its tick a seeding may still be on its way: beat waits for its turn and a worker takes the
#: fan-out, and only then is anything recorded.
GRACE = timedelta(minutes=2)


def next_tick(expression: str, zone: ZoneInfo, moment: datetime) -> datetime:
    """The first tick after an aware moment, in UTC."""
    # In the second pass of a repeated hour cronsim (2.8) begins with ticks of the first, which are over.
    ticks = (tick.astimezone(UTC) for tick in CronSim(expression, moment.astimezone(zone)))
    return next(tick for tick in ticks if tick > moment)


def latest_tick(expression: str, zone: ZoneInfo, moment: datetime) -> datetime:
    """The last tick that is not after an aware moment, in UTC.

    Found by going forward: going back from the second pass, cronsim leaves out ticks of the first.
    """
    back = _NEAR
    while (tick := next_tick(expression, zone, moment - back)) > moment:
        back *= 24
    while (following := next_tick(expression, zone, tick)) <= moment:
        tick = following
    return tick


def ticks_from(expression: str, zone: ZoneInfo, tick: datetime, moment: datetime) -> list[datetime]:
    """That tick and the later ones that are not after an aware moment, in UTC."""
    ticks = []
    while tick <= moment:
        ticks.append(tick)
        tick = next_tick(expression, zone, tick)
    return ticks


def latest_ticks(expression: str, zone: ZoneInfo, moment: datetime, count: int) -> list[datetime]:
    """The last so many ticks that are not after an aware moment, newest first, in UTC."""
    ticks: list[datetime] = []
    while len(ticks) < count:
        tick = latest_tick(expression, zone, moment)
        ticks.append(tick)
        moment = tick - timedelta(microseconds=1)
    return ticks
