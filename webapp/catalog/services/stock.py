"""Promising and taking pieces: one conditional UPDATE each, so no two buyers get the last one."""

from sqlalchemy import case, or_, update

from webapp.catalog.models import SkuInventory
from webapp.core.db import db


def reserve(sku_id: int, quantity: int) -> bool:
    """Promise ``quantity`` pieces; False when there are fewer left. Callers go in sku order.

    Untracked and back-ordered skus are always available, and are counted all the same so that
    release and take need not know which they were.
    """
    enough = SkuInventory.on_hand - SkuInventory.reserved >= quantity
    row = db.session.execute(
        update(SkuInventory)
        .where(
            SkuInventory.sku_id == sku_id,
            or_(enough, SkuInventory.backorder, SkuInventory.tracked.is_(False)),
        )
        .values(reserved=SkuInventory.reserved + quantity)
        .returning(SkuInventory.sku_id)
    ).first()
    return row is not None


def release(sku_id: int, quantity: int) -> None:
    """Take a promise back."""
    db.session.execute(
        update(SkuInventory)
        .where(SkuInventory.sku_id == sku_id)
        .values(reserved=SkuInventory.reserved - quantity)
    )


def take(sku_id: int, quantity: int) -> None:
    """Turn a promise into pieces that have left; untracked stock is not counted down."""
    counted = case((SkuInventory.tracked, quantity), else_=0)
    db.session.execute(
        update(SkuInventory)
        .where(SkuInventory.sku_id == sku_id)
        .values(on_hand=SkuInventory.on_hand - counted, reserved=SkuInventory.reserved - quantity)
    )


def put_back(sku_id: int, quantity: int) -> None:
    """Return pieces to the shelf after a cancellation or a return."""
    db.session.execute(
        update(SkuInventory)
        .where(SkuInventory.sku_id == sku_id, SkuInventory.tracked)
        .values(on_hand=SkuInventory.on_hand + quantity)
    )
