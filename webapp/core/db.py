"""The database: one declarative base with named constraints and the session behind it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, DateTime, Enum, Identity, MetaData, Text, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column, registry

from webapp.core import clock

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All models: text is unbounded, time is aware, enums are text with a named CHECK."""

    registry = registry(
        metadata=MetaData(naming_convention=NAMING_CONVENTION),
        type_annotation_map={
            int: BigInteger,
            str: Text,
            datetime: DateTime(timezone=True),
            dict[str, Any]: JSONB,
            list[Any]: JSONB,
            StrEnum: Enum(
                StrEnum,
                native_enum=False,
                create_constraint=True,
                length=40,
                values_callable=lambda members: [member.value for member in members],
            ),
        },
    )


def identity() -> MappedColumn[int]:
    """Return a bigint primary key that Postgres counts up."""
    return mapped_column(BigInteger, Identity(), primary_key=True)


def created() -> MappedColumn[datetime]:
    """Return the column of the moment a row came to be."""
    return mapped_column(default=clock.now)


db = SQLAlchemy(model_class=Base, disable_autonaming=True)


def take_turns(name: str) -> None:
    """Wait until no other transaction has this turn, and keep it until ours ends.

    For what has no row to lock yet. Names share 64 bits: two that meet wait in vain, no more.
    """
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
