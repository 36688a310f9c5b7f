"""Stripe's times: whole seconds since 1970, here aware and in UTC."""

from datetime import UTC, datetime


def moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def sure_moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
