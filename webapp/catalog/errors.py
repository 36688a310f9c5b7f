"""What can go wrong with the shelf, in sentences a shopkeeper can act on."""

from webapp.core.errors import DomainError, NotFound


class NoSuchProduct(NotFound):
    code = "product_not_found"


class NoSuchSku(NotFound):
    code = "sku_not_found"


class NoSuchPicture(NotFound):
    code = "picture_not_found"


class InvalidProduct(DomainError):
    """The details of a product don't fit together."""

    code = "product_invalid"


class SlugTaken(DomainError):
    code = "slug_taken"
    status = 409

    def __init__(self, slug: str) -> None:
        super().__init__(f"Another product already has the address “{slug}”. Choose another.")


class CodeTaken(DomainError):
    code = "sku_code_taken"
    status = 409

    def __init__(self, code: str) -> None:
        super().__init__(f"The SKU “{code}” is already in use. Each SKU names one thing only.")


class NotForSale(DomainError):
    """A product can't be published as it stands."""

    code = "not_for_sale"


class StockPromised(DomainError):
    """There would be fewer pieces than buyers have been promised."""

    code = "stock_promised"
    status = 409


class ImportRunning(DomainError):
    code = "import_running"
    status = 409


class UnusablePicture(DomainError):
    """A picture couldn't be fetched or isn't one; the sentence is kept for the back office."""

    code = "picture_unusable"
    status = 422
