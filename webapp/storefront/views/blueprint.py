"""The blueprint all storefront routes belong to."""

from flask import Blueprint

blueprint = Blueprint("storefront", __name__)
