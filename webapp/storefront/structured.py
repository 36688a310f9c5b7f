"""A product in the words of schema.org, so that search engines show its price and stock."""

from webapp.catalog.queries import ProductDetail, Variant
from webapp.core.money import to_decimal_text
from webapp.storefront.richtext import summary

MAX_OFFERS = 40


def describe_product(product: ProductDetail, base_url: str) -> dict[str, object]:
    """Return the JSON-LD of a product page: https://schema.org/Product."""
    described: dict[str, object] = {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": product.title,
        "url": base_url + product.url,
    }
    pictures = [base_url + shot.url for shot in product.pictures if shot.url]
    extras = {
        "description": product.seo_description or summary(product.body_html, 500),
        "brand": {"@type": "Brand", "name": product.vendor} if product.vendor else None,
        "category": product.product_type,
        "image": pictures,
        "offers": [_offer(variant) for variant in product.variants[:MAX_OFFERS]],
    }
    described.update({name: value for name, value in extras.items() if value})
    return described


def _offer(variant: Variant) -> dict[str, object]:
    stock = "OutOfStock" if variant.sold_out else "InStock"
    offer: dict[str, object] = {
        "@type": "Offer",
        "price": to_decimal_text(variant.price_amount, variant.currency),
        "priceCurrency": variant.currency.upper(),
        "availability": f"https://schema.org/{stock}",
    }
    if variant.title:
        offer["name"] = variant.title
    if variant.code:
        offer["sku"] = variant.code
    return offer
