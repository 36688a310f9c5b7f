"""The blueprint that all billing pages hang on."""

from flask import Blueprint, Flask
from flask.sansio.blueprints import BlueprintSetupState

from webapp.billing.gating import init_gating

blueprint = Blueprint("billing", __name__)


@blueprint.record_once
def _bring_gating(state: BlueprintSetupState) -> None:
    if isinstance(state.app, Flask):
        init_gating(state.app)
