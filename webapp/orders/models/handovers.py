"""What left the house: parcels and downloads."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.core import clock
from webapp.core.db import Base, created, identity
from webapp.orders.models.sales import Order, OrderSku


class Shipment(Base):
    __tablename__ = "shipment"
    __table_args__ = (
        Index("ix_shipment_order_id", "order_id"),
        Index("ix_shipment_tracking_number", "tracking_number"),
    )

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    carrier: Mapped[str]
    tracking_number: Mapped[str] = mapped_column(default="")
    tracking_url: Mapped[str] = mapped_column(default="")
    actor: Mapped[str]
    shipped_at: Mapped[datetime] = mapped_column(default=clock.now)

    lines: Mapped[list["ShipmentLine"]] = relationship(order_by="ShipmentLine.id")


class ShipmentLine(Base):
    __tablename__ = "shipment_line"
    __table_args__ = (
        UniqueConstraint("shipment_id", "order_sku_id"),
        Index("ix_shipment_line_order_sku_id", "order_sku_id"),
        CheckConstraint("quantity > 0", name="quantity"),
    )

    id: Mapped[int] = identity()
    shipment_id: Mapped[int] = mapped_column(ForeignKey("shipment.id"))
    order_sku_id: Mapped[int] = mapped_column(ForeignKey("order_sku.id"))
    quantity: Mapped[int]

    order_sku: Mapped[OrderSku] = relationship()


class OrderDownload(Base):
    """A digital good handed over: the file behind a signed link that expires."""

    __tablename__ = "order_download"
    __table_args__ = (
        UniqueConstraint("order_sku_id"),
        Index("ix_order_download_order_id", "order_id"),
    )

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    order_sku_id: Mapped[int] = mapped_column(ForeignKey("order_sku.id"))
    title: Mapped[str]
    file_name: Mapped[str]
    expires_at: Mapped[datetime]
    downloads: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = created()

    order: Mapped[Order] = relationship(viewonly=True)
