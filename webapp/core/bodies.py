"""What a request may carry: forms read forms, file fields files, and broken JSON is refused."""

import json
from typing import Any

from flask import Flask, request
from flask.json.provider import DefaultJSONProvider
from flask_wtf import FlaskForm
from flask_wtf.form import _Auto, _is_submitted
from werkzeug.datastructures import CombinedMultiDict, FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from wtforms import FileField, MultipleFileField
from wtforms.form import BaseForm
from wtforms.meta import DefaultMeta


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
    app.before_request(_refuse_oversized)
    # Flask-WTF would take JSON of any shape for a form.
    FlaskForm.Meta.wrap_formdata = _read_request
    # And any form would take a file for the text of a field.
    DefaultMeta.wrap_formdata = _without_stray_files


def _refuse_oversized() -> None:
    """Refuse what says it is too long, also where nobody would read it."""
    limit = request.max_content_length
    if limit is not None and (request.content_length or 0) > limit:
        raise RequestEntityTooLarge


def _read_request(meta: object, form: BaseForm, formdata: Any) -> Any:
    if formdata is _Auto:
        sent = CombinedMultiDict[str, Any]((request.files, request.form))
        formdata = sent if _is_submitted() else None
    return _without_stray_files(meta, form, formdata)


def _without_stray_files(_meta: object, form: BaseForm, formdata: Any) -> Any:
    if not formdata or not request.files:
        return formdata
    takers = {field.name for field in form if isinstance(field, FileField | MultipleFileField)}
    return MultiDict(
        (name, value)
        for name, value in formdata.items(multi=True)
        if name in takers or not isinstance(value, FileStorage)
    )
