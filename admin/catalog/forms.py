"""What is typed about a product and about one of its variants."""

from wtforms import (
    BooleanField,
    FileField,
    Form,
    HiddenField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional, Regexp

from admin.fields import MoneyField, WordsField, one_line
from webapp.catalog.models import SkuKind
from webapp.core.fields import WholeField

SLUG = Regexp(r"^[^\s/?#%\\]+$", message="No blanks and none of / ? # % \\.")
CLASHES = {
    "uq_product_slug": "Another product has that address.",
    "uq_sku_code": "Another variant has that SKU.",
    "uq_product_sku_options": "There is already a variant with these options.",
    "ck_sku_inventory_not_oversold": "More pieces than that are promised to buyers already.",
    "ck_sku_inventory_on_hand": "There can't be fewer than none, unless it may be back-ordered.",
}


class ProductForm(Form):
    title = StringField(
        "Title", [InputRequired("A product needs a title."), Length(max=255), one_line]
    )
    slug = StringField(
        "Address",
        [Optional(), Length(max=255), SLUG],
        description="The last part of its link. The old one goes on working.",
    )
    body_html = TextAreaField("Description", [Length(max=100_000)], render_kw={"rows": 10})
    vendor = StringField("Vendor", [Length(max=255), one_line])
    product_type = StringField("Type", [Length(max=255), one_line])
    tags = WordsField("Tags", description="With commas between them.")
    options = WordsField(
        "Options", description="What buyers choose, like Size, Colour; up to three."
    )
    position = WholeField("Position on the shelf", [Optional(), NumberRange(0, 10**9)])
    seo_title = StringField("Title for search engines", [Length(max=255), one_line])
    seo_description = TextAreaField(
        "Description for search engines", [Length(max=1000)], render_kw={"rows": 2}
    )


class NewProductForm(ProductForm):
    """A new product is made with its first variant."""

    price = MoneyField("Price", [InputRequired("Type the price.")])
    code = StringField("SKU", [Length(max=255), one_line])
    on_hand = WholeField("On hand", [Optional(), NumberRange(0, 10**9)], default=0)


class VariantForm(Form):
    option1 = StringField(validators=[Length(max=255), one_line])
    option2 = StringField(validators=[Length(max=255), one_line])
    option3 = StringField(validators=[Length(max=255), one_line])
    code = StringField("SKU", [Length(max=255), one_line])
    barcode = StringField("Barcode", [Length(max=255), one_line])
    price = MoneyField("Price", [InputRequired("Type the price.")])
    compare_at = MoneyField(
        "Compare-at price", [Optional()], description="Shown struck through beside the price."
    )
    tracked = BooleanField("Count the stock", default=True)
    backorder = BooleanField("Go on selling when it is gone")
    on_hand = WholeField("On hand", [Optional(), NumberRange(-(10**9), 10**9)], default=0)
    seen_on_hand = HiddenField(default="0")
    kind = SelectField(
        "Kind",
        [InputRequired()],
        choices=[SelectChoice(kind.value, kind.value.capitalize()) for kind in SkuKind],
    )
    weight_grams = WholeField("Weight, g", [Optional(), NumberRange(0, 10**9)], default=0)
    taxable = BooleanField("Taxed", default=True)
    download = FileField("File for buyers", description="For a digital kind; 15 MB at most.")


VARIANT_SECTIONS = (
    ("Options", ("option1", "option2", "option3")),
    ("Price", ("price", "compare_at")),
    ("Stock", ("on_hand", "tracked", "backorder")),
    ("Identity", ("code", "barcode", "kind", "weight_grams", "taxable")),
    ("Digital", ("download",)),
)
