"""A small shelf to walk along, written straight into the tables."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from webapp.catalog.models import (
    Collection,
    CollectionProduct,
    Picture,
    PictureState,
    Product,
    ProductImage,
    ProductOption,
    ProductSku,
    ProductStatus,
    Sku,
    SkuInventory,
    SkuPrice,
)

numbers = count(1)


@dataclass(frozen=True, slots=True)
class Stocked:
    """One variant to make; ``on_hand`` None is stock that nobody counts."""

    option: str = ""
    amount: int | None = 1000
    on_hand: int | None = 5
    reserved: int = 0
    compare_at: int | None = None


ONE_OF_A_KIND = (Stocked(),)


@dataclass
class Shelves:
    session: Session
    skus: dict[str, list[int]] = field(default_factory=dict)

    def add(
        self,
        slug: str | None = None,
        variants: tuple[Stocked, ...] = ONE_OF_A_KIND,
        status: ProductStatus = ProductStatus.PUBLISHED,
        picture: PictureState | None = None,
        **face: object,
    ) -> Product:
        number = next(numbers)
        address: str = slug or f"thing-{number}"
        product = Product(slug=address, status=status, position=number)
        for name, value in ({"title": f"Thing {number}"} | face).items():
            setattr(product, name, value)
        if any(variant.option for variant in variants):
            product.options.append(ProductOption(position=1, name="Size"))
        for position, variant in enumerate(variants, start=1):
            sku = make_sku(variant)
            product.variants.append(ProductSku(sku=sku, position=position, option1=variant.option))
        if picture is not None:
            file_name = f"{number}.jpg" if picture is PictureState.FETCHED else None
            source = f"https://cdn.test/{number}"
            shot = Picture(source_url=source, state=picture, file_name=file_name)
            product.images.append(ProductImage(picture=shot, position=1, alt="From the side"))
        self.session.add(product)
        self.session.commit()
        self.skus[address] = [each.sku_id for each in product.variants]
        return product

    def collect(self, slug: str, title: str, *products: Product) -> Collection:
        collection = Collection(slug=slug, title=title)
        self.session.add(collection)
        self.session.flush()
        for position, product in enumerate(products):
            self.session.add(
                CollectionProduct(
                    collection_id=collection.id, product_id=product.id, position=position
                )
            )
        self.session.commit()
        return collection


def make_sku(variant: Stocked) -> Sku:
    tracked = variant.on_hand is not None
    prices = []
    if variant.amount is not None:
        prices.append(
            SkuPrice(
                unit_amount=variant.amount, compare_at_amount=variant.compare_at, currency="usd"
            )
        )
    stock = SkuInventory(tracked=tracked, on_hand=variant.on_hand or 0, reserved=variant.reserved)
    return Sku(prices=prices, inventory=stock)


@pytest.fixture
def shelves(session: Session) -> Shelves:
    return Shelves(session)


@pytest.fixture
def statements(connection: Connection) -> Callable[[], AbstractContextManager[list[str]]]:
    """Return a block that collects the statements sent within it, savepoints left out."""

    @contextmanager
    def collecting() -> Iterator[list[str]]:
        seen: list[str] = []

        def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
            if "SAVEPOINT" not in statement:
                seen.append(statement)

        event.listen(connection, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(connection, "before_cursor_execute", note)

    return collecting
