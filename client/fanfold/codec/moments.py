"""Tags for dates, times, durations and time zones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fanfold.codec.classes import origin
from fanfold.codec.encoded import Encoded
from fanfold.errors import CodecError

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger


def pack(value: Any) -> Encoded | None:  # noqa: ARG001
    """Moments have no binary form."""
    return None


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag for `value`, or None where it is of no class known here."""
    if type(value).__module__.partition(".")[0] == "cftime":
        return _calendar_tag(value)
    write_tag = _WRITERS.get(type(value).__qualname__)
    return None if write_tag is None else write_tag(value, tagger)


def zone_tree(zone: Any, where: str) -> Any:
    """A time zone as JSON: None, `["zone", key]` or `["offset", microseconds, name or None]`."""
    kind = f"{type(zone).__module__.partition('.')[0]}.{type(zone).__qualname__}"
    if zone is None:
        return None
    if kind == "zoneinfo.ZoneInfo" and zone.key:
        return ["zone", zone.key]
    if kind == "datetime.timezone":
        offset, *name = zone.__getinitargs__()
        return ["offset", _microseconds(offset), name[0] if name else None]
    if kind.startswith("pytz.") and zone.zone:
        return ["pytz", zone.zone]
    if kind.startswith("dateutil.") and (made_of := _of_dateutil(zone)):
        return ["dateutil", *made_of]
    raise CodecError(
        f"{where} has the time zone {zone!r}, which has no codec.",
        next_step="convert it: `.astimezone(zoneinfo.ZoneInfo('Europe/Paris'))`, or to `datetime.timezone.utc`.",
    )


def _of_dateutil(zone: Any) -> list[Any] | None:
    """What of `dateutil.tz` gives the zone again, and its arguments; None where that would be another zone."""
    from dateutil import tz  # type: ignore[import-untyped,unused-ignore]

    kind = type(zone).__name__
    if kind in ("tzutc", "tzlocal"):
        return [kind]
    if kind == "tzoffset":
        return [kind, zone._name, zone._offset.total_seconds()]
    name = str(getattr(zone, "_filename", "")).rpartition("zoneinfo/")[2]
    is_named = kind == "tzfile" and name and not name.startswith("/")  # a reader opens no file that it is told to
    return ["gettz", name] if is_named and tz.gettz(name) == zone else None


def zone_from(tree: Any) -> Any:
    """The time zone that `zone_tree` described."""
    if tree is None:
        return None
    kind, *rest = tree
    if kind == "offset":
        return _fixed(*rest)
    if kind == "pytz":
        import pytz  # type: ignore[import-untyped]

        return pytz.timezone(rest[0])
    if kind == "dateutil" and rest[0] in _DATEUTIL and not _is_path(str(rest[-1])):
        from dateutil import tz  # type: ignore[import-untyped,unused-ignore]

        return getattr(tz, rest[0])(*rest[1:])
    if kind == "own":
        return _of_the_user(rest[0])
    from zoneinfo import ZoneInfo

    return ZoneInfo(rest[0])


def _is_path(name: str) -> bool:
    """Whether a zone's name would lead to a file beside those that dateutil has of zones."""
    return name.startswith("/") or ".." in name


def _of_the_user(zone: Any) -> Any:
    """A zone of a class of the user's. Raises `CodecError` where it was read as plain data."""
    from datetime import tzinfo

    if isinstance(zone, tzinfo):
        return zone
    raise CodecError(
        "A moment has a time zone of a class that this process does not have.",
        next_step="import or define the class before you read it; or return `moment.astimezone(datetime.timezone.utc)`"
        " from the UDF.",
    )


#: What of `dateutil.tz` makes zones.
_DATEUTIL = ("tzutc", "tzlocal", "tzoffset", "gettz")


def _fixed(offset_us: int, name: str | None) -> Any:
    from datetime import timedelta, timezone

    offset = timedelta(microseconds=offset_us)
    return timezone(offset) if name is None else timezone(offset, name)


def _microseconds(delta: Any) -> int:
    return int((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds)


def _clock(name: str) -> Callable[[Any, Tagger], Any]:
    def write_tag(value: Any, tagger: Tagger) -> Any:
        if value.tzinfo is None and not value.fold:
            return {name: value.isoformat()}
        is_own = value.tzinfo is not None and origin(type(value.tzinfo).__module__) == "own"
        zone = ["own", tagger.at("tzinfo", value.tzinfo)] if is_own else zone_tree(value.tzinfo, tagger.where)
        if zone is not None and zone[0] == "pytz":
            # pytz keeps the offset in the zone object itself, which only its own `localize` may choose.
            raise CodecError(
                f"{tagger.where} has a pytz time zone, which Python's datetime cannot rebuild exactly.",
                next_step=f"use `zoneinfo.ZoneInfo({zone[1]!r})`.",
            )
        return {name: [value.replace(tzinfo=None, fold=0).isoformat(), zone, value.fold]}

    return write_tag


_WRITERS: dict[str, Callable[[Any, Tagger], Any]] = {
    "datetime": _clock("$datetime"),
    "time": _clock("$time"),
    "date": lambda value, _: {"$date": value.isoformat()},
    "timedelta": lambda value, _: {"$timedelta": _microseconds(value)},
    "timezone": lambda value, tagger: {"$zone": zone_tree(value, tagger.where)},
    "ZoneInfo": lambda value, tagger: {"$zone": zone_tree(value, tagger.where)},
}


#: What a moment of cftime's is made of, beside its calendar.
_FIELDS = ("year", "month", "day", "hour", "minute", "second", "microsecond")


def _calendar_tag(value: Any) -> Any:
    """The tag of a moment in a calendar of its own, of one of cftime's classes; None for anything else of cftime's."""
    import cftime  # type: ignore[import-not-found,import-untyped,unused-ignore]

    name = type(value).__name__
    if not isinstance(value, cftime.datetime) or getattr(cftime, name, None) is not type(value):
        return None
    fields = [getattr(value, field) for field in _FIELDS]
    return {"$cftime": [name, fields, value.calendar, bool(value.has_year_zero)]}


def _read_calendar(payload: Any) -> Any:
    import cftime

    name, fields, calendar, has_year_zero = payload
    kind = getattr(cftime, name)
    if not issubclass(kind, cftime.datetime):
        raise TypeError(f"{name} is no moment")
    if kind is cftime.datetime:
        return kind(*fields, calendar=calendar, has_year_zero=has_year_zero)
    return kind(*fields, has_year_zero=has_year_zero)


def _read_clock(name: str) -> Callable[[Any], Any]:
    def read_tag(payload: Any) -> Any:
        import datetime

        kind = getattr(datetime, name)
        if isinstance(payload, str):
            return kind.fromisoformat(payload)
        text, zone, fold = payload
        return kind.fromisoformat(text).replace(tzinfo=zone_from(zone), fold=fold)

    return read_tag


def _read_date(text: str) -> Any:
    from datetime import date

    return date.fromisoformat(text)


def _read_timedelta(microseconds: int) -> Any:
    from datetime import timedelta

    return timedelta(microseconds=microseconds)


UNTAG: dict[str, Callable[[Any], Any]] = {
    "$datetime": _read_clock("datetime"),
    "$time": _read_clock("time"),
    "$date": _read_date,
    "$timedelta": _read_timedelta,
    "$zone": zone_from,
    "$cftime": _read_calendar,
}
