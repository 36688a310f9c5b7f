"""The blueprint of what campaigns show and take."""

from flask import Blueprint

blueprint = Blueprint("campaigns", __name__)
