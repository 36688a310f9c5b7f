import io
from pathlib import Path
import pytest
from webapp.catalog.services.shopify.importing import import_products
from webapp.catalog.services.shopify.exporting import export_products
DATA = Path(__file__).parent/"data"
@pytest.mark.parametrize("name",["shopify-apparel.csv","shopify-jewelery.csv"])
def test_smoke(session,name):
    raw=(DATA/name).read_bytes()
    r=import_products(io.BytesIO(raw),"usd"); print(r)
    assert r.applied
    r2=import_products(io.BytesIO(raw),"usd"); print(r2)
    out=io.StringIO(newline="")
    export_products(out)
    assert out.getvalue().encode()==raw+b"\r\n"
