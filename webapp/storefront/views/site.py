"""What browsers and search engines fetch beside pages: colours, pictures, the site's map."""

from hashlib import sha256
from html import escape

from flask import Response, abort, current_app, make_response, request, send_from_directory

from webapp.catalog import queries
from webapp.core.access import EVERYONE, open_to
from webapp.core.security import limiter
from webapp.core.shop import get_shop
from webapp.core.state import current_config, current_fork
from webapp.storefront.brand import brand_css
from webapp.storefront.reading import read_without_transaction
from webapp.storefront.views.blueprint import blueprint

FIVE_MINUTES, ONE_DAY, ONE_YEAR = 300, 86_400, 31_536_000
SITEMAP_SPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
XML = "application/xml; charset=utf-8"
# What is somebody's own, or of no use to whoever searches.
UNLISTED = (
    *("account", "admin", "billing", "card/", "cart", "checkout", "email-change/"),
    *("export/", "login", "orders/", "password/", "verify/"),
)


@blueprint.get("/brand.css")
@open_to(EVERYONE)
@limiter.exempt
def brand() -> Response:
    """The fork's colours. Short-lived, so that a change is seen, and cheap to ask about again."""
    read_without_transaction()
    css = brand_css(get_shop().accent)
    response = make_response(css)
    response.mimetype = "text/css"
    response.set_etag(sha256(css.encode()).hexdigest()[:16])
    response.cache_control.public = True
    response.cache_control.max_age = FIVE_MINUTES
    response.make_conditional(request)
    return response


@blueprint.get("/media/pictures/<file_name>")
@open_to(EVERYONE)
@limiter.exempt
def media(file_name: str) -> Response:
    """A fetched picture; its name changes with its content, so it may be kept for ever."""
    folder = current_fork().upload_folder.resolve() / "pictures"
    response = send_from_directory(folder, file_name, max_age=ONE_YEAR)
    response.cache_control.public = True
    response.cache_control.immutable = True
    return response


@blueprint.get("/favicon.ico")
@open_to(EVERYONE)
@limiter.exempt
def favicon() -> Response:
    response = current_app.send_static_file("img/favicon.svg")
    response.cache_control.max_age = ONE_DAY
    return response


@blueprint.get("/robots.txt")
@open_to(EVERYONE)
def robots() -> Response:
    lines = ["User-agent: *"]
    lines += [f"Disallow: /{path}" for path in UNLISTED]
    lines += ["", f"Sitemap: {_base()}/sitemap.xml", ""]
    return _cacheable("\n".join(lines), "text/plain; charset=utf-8")


@blueprint.get("/sitemap.xml")
@open_to(EVERYONE)
def sitemap() -> Response:
    """The index: one part for the collections and one per block of products."""
    read_without_transaction()
    count = queries.count_sitemap_blocks()
    parts = ["collections", *(f"products-{number}" for number in range(1, count + 1))]
    entries = [f"<sitemap><loc>{_base()}/sitemap-{part}.xml</loc></sitemap>" for part in parts]
    return _cacheable(_xml("sitemapindex", entries), XML)


@blueprint.get("/sitemap-collections.xml")
@open_to(EVERYONE)
def sitemap_collections() -> Response:
    read_without_transaction()
    paths = ["/", "/products", *queries.list_collection_paths()]
    return _cacheable(
        _xml("urlset", [f"<url><loc>{_loc(path)}</loc></url>" for path in paths]), XML
    )


@blueprint.get("/sitemap-products-<int:number>.xml")
@open_to(EVERYONE)
def sitemap_products(number: int) -> Response:
    read_without_transaction()
    if not 1 <= number <= queries.count_sitemap_blocks():
        abort(404)
    entries = [
        f"<url><loc>{_loc(entry.path)}</loc><lastmod>{entry.updated_at:%Y-%m-%d}</lastmod></url>"
        for entry in queries.list_sitemap_block(number)
    ]
    return _cacheable(_xml("urlset", entries), XML)


def _xml(root: str, entries: list[str]) -> str:
    lines = "\n".join(entries)
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{head}\n<{root} xmlns="{SITEMAP_SPACE}">\n{lines}\n</{root}>\n'


def _loc(path: str) -> str:
    return escape(_base() + path)


def _base() -> str:
    return current_config().base_url.rstrip("/")


def _cacheable(body: str, content_type: str) -> Response:
    response = Response(body, content_type=content_type)
    response.cache_control.public = True
    response.cache_control.max_age = FIVE_MINUTES
    return response
