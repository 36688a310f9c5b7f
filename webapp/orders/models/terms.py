"""What the shop asks for on top: shipping by country and weight, tax by country."""

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.db import Base, identity


class ShippingMethod(Base):
    """A way to send a parcel: to these countries (none named: everywhere), up to this weight."""

    __tablename__ = "shipping_method"
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("unit_amount >= 0", name="unit_amount"),
    )

    id: Mapped[int] = identity()
    code: Mapped[str]
    name: Mapped[str]
    unit_amount: Mapped[int]
    countries: Mapped[list[str]] = mapped_column(ARRAY(TEXT), default=list)
    min_weight_grams: Mapped[int] = mapped_column(default=0)
    max_weight_grams: Mapped[int | None]
    carrier: Mapped[str] = mapped_column(default="")
    position: Mapped[int] = mapped_column(default=0)
    active: Mapped[bool] = mapped_column(default=True)


class TaxRate(Base):
    """Tax of a country in basis points; ``inclusive`` prices already contain it."""

    __tablename__ = "tax_rate"
    __table_args__ = (
        UniqueConstraint("country"),
        CheckConstraint("basis_points BETWEEN 0 AND 10000", name="basis_points"),
    )

    id: Mapped[int] = identity()
    country: Mapped[str]
    name: Mapped[str]
    basis_points: Mapped[int]
    inclusive: Mapped[bool] = mapped_column(default=False)
    on_shipping: Mapped[bool] = mapped_column(default=True)
