"""Looking around: front page, shelves, one product. Nothing here writes."""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

from flask import abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from webapp.catalog import queries
from webapp.catalog.queries import CollectionFace, ProductDetail, Shelf
from webapp.core.state import current_config
from webapp.storefront.paging import make_page, read_page_number
from webapp.storefront.reading import read_without_transaction
from webapp.storefront.richtext import clean_html, summary
from webapp.storefront.structured import describe_product
from webapp.storefront.views.blueprint import blueprint

MAX_TEXT = 255


@blueprint.get("/")
def home() -> str:
    read_without_transaction()
    return render_template(
        "storefront/home.html",
        featured=queries.list_featured(),
        collections=queries.list_collections(),
        canonical=canonical("/"),
    )


@blueprint.get("/products")
def products() -> str | Response:
    read_without_transaction()
    tag = request.args.get("tag") or None
    if tag is None:
        return _shelf(queries.list_shelf, "/products")
    _refuse_nonsense(tag)
    return _shelf(
        lambda number: queries.list_tagged(tag, number),
        f"/products?tag={quote(tag, safe='')}",
        tag=tag,
    )


@blueprint.get("/collections/<slug>")
def collection(slug: str) -> str | Response:
    read_without_transaction()
    _refuse_nonsense(slug)
    face = queries.find_collection(slug)
    if face is None:
        abort(404)
    return _shelf(
        lambda number: queries.list_collected(face.id, number),
        f"/collections/{quote(face.slug)}",
        collection=face,
    )


def _shelf(
    read: Callable[[int], Shelf],
    path: str,
    collection: CollectionFace | None = None,
    tag: str | None = None,
) -> str | Response:
    """Show a page of a shelf; an address with a page that isn't there leads to the nearest."""
    number = read_page_number(request.args.get("page"))
    if number is None:
        return redirect(path)
    page = make_page(read(number), number)
    if number > page.pages:
        return redirect(_page_path(path, page.pages))
    return render_template(
        "storefront/products.html",
        page=page,
        collection=collection,
        tag=tag,
        collections=queries.list_collections(),
        canonical=canonical(_page_path(path, number)),
    )


def _page_path(path: str, number: int) -> str:
    if number == 1:
        return path
    return f"{path}{'&' if '?' in path else '?'}page={number}"


@blueprint.get("/products/<slug>")
def product(slug: str) -> str | Response:
    read_without_transaction()
    _refuse_nonsense(slug)
    found = queries.find_product(slug)
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
    new = queries.find_new_address(slug)
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
