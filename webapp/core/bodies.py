"""What a request may carry: forms read forms alone, and JSON that can't be handled is refused."""

import json
from typing import Any

from flask import Flask, request
from flask.json.provider import DefaultJSONProvider
from flask_wtf import FlaskForm
from flask_wtf.form import _Auto, _is_submitted
from werkzeug.datastructures import CombinedMultiDict


class CarefulJSON(DefaultJSONProvider):
    """JSON that is nested without end or holds half a character is as broken as any other."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        try:
            value = super().loads(s, **kwargs)
            json.dumps(value, ensure_ascii=False).encode()
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        return value


def init_bodies(app: Flask) -> None:
    app.json = CarefulJSON(app)
    FlaskForm.Meta.wrap_formdata = _read_form


def _read_form(_meta: object, _form: object, formdata: Any) -> Any:
    # Flask-WTF would take JSON of any shape for a form, and its fields are no lists of texts.
    if formdata is not _Auto:
        return formdata
    return CombinedMultiDict((request.files, request.form)) if _is_submitted() else None
