"""What is sold: products, the skus behind them, their prices through time, stock and pictures."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.core import clock
from webapp.core.db import Base, created, identity


class ProductStatus(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    RETIRED = "retired"


class SkuKind(StrEnum):
    PHYSICAL = "physical"
    DIGITAL = "digital"
    SERVICE = "service"


class PictureState(StrEnum):
    PENDING = "pending"
    FETCHED = "fetched"
    FAILED = "failed"


class Product(Base):
    """One thing on the shelf. ``slug`` is its address and Shopify's Handle.

    ``extra`` keeps the columns of an import that we don't model, under their own names.
    """

    __tablename__ = "product"
    __table_args__ = (
        UniqueConstraint("slug"),
        Index("ix_product_shelf", "position", "id", postgresql_where=text("status = 'published'")),
        Index("ix_product_tags", "tags", postgresql_using="gin"),
        Index("ix_product_title", "title"),
    )

    id: Mapped[int] = identity()
    slug: Mapped[str]
    title: Mapped[str]
    body_html: Mapped[str] = mapped_column(default="")
    vendor: Mapped[str] = mapped_column(default="")
    product_type: Mapped[str] = mapped_column(default="")
    tags: Mapped[list[str]] = mapped_column(ARRAY(TEXT), default=list)
    status: Mapped[ProductStatus] = mapped_column(default=ProductStatus.DRAFT)
    position: Mapped[int] = mapped_column(default=0)
    seo_title: Mapped[str] = mapped_column(default="")
    seo_description: Mapped[str] = mapped_column(default="")
    gift_card: Mapped[bool] = mapped_column(default=False)
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)

    options: Mapped[list["ProductOption"]] = relationship(
        order_by="ProductOption.position", cascade="all, delete-orphan"
    )
    variants: Mapped[list["ProductSku"]] = relationship(
        order_by="ProductSku.position", cascade="all, delete-orphan", back_populates="product"
    )
    images: Mapped[list["ProductImage"]] = relationship(
        order_by="ProductImage.position", cascade="all, delete-orphan"
    )
    videos: Mapped[list["ProductVideo"]] = relationship(
        order_by="ProductVideo.position", cascade="all, delete-orphan"
    )


class ProductOption(Base):
    """The name of a choice, like Size; the values are on the product's skus."""

    __tablename__ = "product_option"
    __table_args__ = (
        UniqueConstraint("product_id", "position"),
        CheckConstraint("position BETWEEN 1 AND 3", name="position"),
    )

    id: Mapped[int] = identity()
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    position: Mapped[int]
    name: Mapped[str]


class Sku(Base):
    """One thing that is counted, priced and shipped. ``code`` is the merchant's own SKU text."""

    __tablename__ = "sku"
    __table_args__ = (
        Index("uq_sku_code", "code", unique=True, postgresql_where=text("code <> ''")),
        CheckConstraint("weight_grams >= 0", name="weight"),
    )

    id: Mapped[int] = identity()
    code: Mapped[str] = mapped_column(default="")
    barcode: Mapped[str] = mapped_column(default="")
    kind: Mapped[SkuKind] = mapped_column(default=SkuKind.PHYSICAL)
    weight_grams: Mapped[int] = mapped_column(default=0)
    weight_unit: Mapped[str] = mapped_column(default="kg")
    taxable: Mapped[bool] = mapped_column(default=True)
    tax_code: Mapped[str] = mapped_column(default="")
    fulfillment_service: Mapped[str] = mapped_column(default="manual")
    download_file: Mapped[str | None]
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = created()

    prices: Mapped[list["SkuPrice"]] = relationship(
        order_by="SkuPrice.in_force_at.desc(), SkuPrice.id.desc()", cascade="all, delete-orphan"
    )
    inventory: Mapped["SkuInventory"] = relationship(cascade="all, delete-orphan")
    image: Mapped["SkuImage | None"] = relationship(cascade="all, delete-orphan")


class SkuPrice(Base):
    """A price from a moment on; the newest one in force wins. Rows are never changed."""

    __tablename__ = "sku_price"
    __table_args__ = (
        Index("ix_sku_price_newest", "sku_id", text("in_force_at DESC"), text("id DESC")),
        CheckConstraint("unit_amount >= 0", name="unit_amount"),
        CheckConstraint("compare_at_amount >= 0", name="compare_at_amount"),
    )

    id: Mapped[int] = identity()
    sku_id: Mapped[int] = mapped_column(ForeignKey("sku.id", ondelete="CASCADE"))
    unit_amount: Mapped[int]
    compare_at_amount: Mapped[int | None]
    currency: Mapped[str]
    in_force_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_at: Mapped[datetime] = created()


class ProductSku(Base):
    """A sku as a variant of a product, with its value for each of the product's options."""

    __tablename__ = "product_sku"
    __table_args__ = (
        UniqueConstraint("product_id", "sku_id"),
        UniqueConstraint(
            "product_id", "option1", "option2", "option3", name="uq_product_sku_options"
        ),
        Index("ix_product_sku_sku_id", "sku_id"),
    )

    id: Mapped[int] = identity()
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    sku_id: Mapped[int] = mapped_column(ForeignKey("sku.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(default=1)
    option1: Mapped[str] = mapped_column(default="")
    option2: Mapped[str] = mapped_column(default="")
    option3: Mapped[str] = mapped_column(default="")

    product: Mapped[Product] = relationship(back_populates="variants")
    sku: Mapped[Sku] = relationship()


class SkuInventory(Base):
    """How many there are and how many are promised. Not tracked: always enough.

    ``backorder`` is Shopify's inventory policy "continue": it may be sold below zero.
    The CHECK is what makes overselling impossible, whatever the code above it does.
    """

    __tablename__ = "sku_inventory"
    __table_args__ = (
        CheckConstraint("reserved >= 0", name="reserved"),
        CheckConstraint("backorder OR NOT tracked OR reserved <= on_hand", name="not_oversold"),
        CheckConstraint("backorder OR NOT tracked OR on_hand >= 0", name="on_hand"),
    )

    sku_id: Mapped[int] = mapped_column(
        ForeignKey("sku.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    tracked: Mapped[bool] = mapped_column(default=True)
    backorder: Mapped[bool] = mapped_column(default=False)
    on_hand: Mapped[int] = mapped_column(default=0)
    reserved: Mapped[int] = mapped_column(default=0)
    tracker: Mapped[str] = mapped_column(default="")


class Picture(Base):
    """A remote picture and our copy of it: until a job has fetched it a placeholder is drawn."""

    __tablename__ = "picture"
    __table_args__ = (
        UniqueConstraint("source_url"),
        Index("ix_picture_pending", "id", postgresql_where=text("state = 'pending'")),
    )

    id: Mapped[int] = identity()
    source_url: Mapped[str]
    state: Mapped[PictureState] = mapped_column(default=PictureState.PENDING)
    file_name: Mapped[str | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    fetched_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


class ProductImage(Base):
    __tablename__ = "product_image"
    __table_args__ = (
        UniqueConstraint("product_id", "position"),
        Index("ix_product_image_picture_id", "picture_id"),
    )

    id: Mapped[int] = identity()
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    picture_id: Mapped[int] = mapped_column(ForeignKey("picture.id"))
    position: Mapped[int]
    alt: Mapped[str] = mapped_column(default="")

    picture: Mapped[Picture] = relationship()


class SkuImage(Base):
    """The picture shown when this variant is chosen."""

    __tablename__ = "sku_image"
    __table_args__ = (Index("ix_sku_image_picture_id", "picture_id"),)

    sku_id: Mapped[int] = mapped_column(
        ForeignKey("sku.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    picture_id: Mapped[int] = mapped_column(ForeignKey("picture.id"))

    picture: Mapped[Picture] = relationship()


class ProductVideo(Base):
    __tablename__ = "product_video"
    __table_args__ = (UniqueConstraint("product_id", "position"),)

    id: Mapped[int] = identity()
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    position: Mapped[int]
    url: Mapped[str]
    title: Mapped[str] = mapped_column(default="")


class SlugRedirect(Base):
    """An address a product had before; it answers with a permanent redirect."""

    __tablename__ = "slug_redirect"
    __table_args__ = (Index("ix_slug_redirect_product_id", "product_id"),)

    slug: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = created()


class Collection(Base):
    __tablename__ = "collection"
    __table_args__ = (UniqueConstraint("slug"),)

    id: Mapped[int] = identity()
    slug: Mapped[str]
    title: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    position: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = created()


class CollectionProduct(Base):
    __tablename__ = "collection_product"
    __table_args__ = (
        Index("ix_collection_product_product_id", "product_id"),
        Index("ix_collection_product_shelf", "collection_id", "position", "product_id"),
    )

    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    product_id: Mapped[int] = mapped_column(
        ForeignKey("product.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(default=0)
