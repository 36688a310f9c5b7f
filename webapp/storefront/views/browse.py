"""Looking around: front page, shelves, one product. Nothing here writes."""

from dataclasses import replace
from urllib.parse import quote

from flask import abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from webapp.catalog.queries import ProductDetail, find_new_address
from webapp.core.access import EVERYONE, open_to
from webapp.core.state import current_config
from webapp.storefront import queries
from webapp.storefront.cart_cookie import read_cart_id
from webapp.storefront.frame import put_in_frame
from webapp.storefront.paging import make_page, read_page_number
from webapp.storefront.queries import ShelfPage
from webapp.storefront.reading import read_without_transaction
from webapp.storefront.richtext import clean_html, summary
from webapp.storefront.structured import describe_product
from webapp.storefront.views.blueprint import blueprint

MAX_TEXT = 255


@blueprint.get("/")
@open_to(EVERYONE)
def home() -> str:
    read_without_transaction()
    found = queries.read_front_page(read_cart_id())
    put_in_frame(found.frame)
    return render_template(
        "storefront/home.html",
        featured=found.featured,
        collections=found.collections,
        canonical=canonical("/"),
    )


@blueprint.get("/products")
@open_to(EVERYONE)
def products() -> str | Response:
    tag = request.args.get("tag") or None
    path = f"/products?tag={quote(tag, safe='')}" if tag else "/products"
    number = read_page_number(request.args.get("page"))
    if number is None:
        return redirect(path)
    read_without_transaction()
    if tag is None:
        return _shelf(queries.read_shelf(read_cart_id(), number), number, path)
    _refuse_nonsense(tag)
    return _shelf(queries.read_tagged(read_cart_id(), number, tag), number, path, tag)


@blueprint.get("/collections/<slug>")
@open_to(EVERYONE)
def collection(slug: str) -> str | Response:
    _refuse_nonsense(slug)
    path = f"/collections/{quote(slug)}"
    number = read_page_number(request.args.get("page"))
    if number is None:
        return redirect(path)
    read_without_transaction()
    found = queries.read_collected(read_cart_id(), number, slug)
    if found.collection is None:
        abort(404)
    return _shelf(found, number, path)


def _shelf(found: ShelfPage, number: int, path: str, tag: str | None = None) -> str | Response:
    """Show a page of a shelf; a number past the last page leads to that."""
    page = make_page(found, number)
    if number > page.pages:
        return redirect(_page_path(path, page.pages))
    put_in_frame(found.frame)
    return render_template(
        "storefront/products.html",
        page=page,
        collection=found.collection,
        tag=tag,
        collections=found.collections,
        canonical=canonical(_page_path(path, number)),
    )


def _page_path(path: str, number: int) -> str:
    if number == 1:
        return path
    return f"{path}{'&' if '?' in path else '?'}page={number}"


@blueprint.get("/products/<slug>")
@open_to(EVERYONE)
def product(slug: str) -> str | Response:
    _refuse_nonsense(slug)
    read_without_transaction()
    page = queries.read_product_page(read_cart_id(), slug)
    put_in_frame(page.frame)
    found = page.product
    if found is None:
        return _moved_or_gone(slug)
    return render_template(
        "storefront/product.html",
        product=replace(
            found,
            body_html=clean_html(found.body_html),
            seo_description=found.seo_description or summary(found.body_html),
        ),
        breadcrumbs=_breadcrumbs(found),
        canonical=canonical(found.url),
        structured=describe_product(found, current_config().base_url.rstrip("/")),
    )


def _moved_or_gone(slug: str) -> Response:
    new = find_new_address(slug)
    if new is None:
        abort(404)
    return redirect(url_for("storefront.product", slug=new), code=301)


def _breadcrumbs(found: ProductDetail) -> list[tuple[str, str | None]]:
    shelf = ("All products", "/products")
    if found.collection is not None:
        slug, title = found.collection
        shelf = (title, f"/collections/{quote(slug)}")
    return [("Home", "/"), shelf, (found.title, None)]


def canonical(path: str) -> str:
    """Return the one address search engines should keep for a page."""
    return current_config().base_url.rstrip("/") + path


def _refuse_nonsense(text: str) -> None:
    # Postgres refuses NUL in a text with an error of its own.
    if "\0" in text or len(text) > MAX_TEXT:
        abort(404)
