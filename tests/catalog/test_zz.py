from tests.catalog.conftest import *
from sqlalchemy import text
import time
def test_p(session, import_rows):
    rows=[{"Handle": f"p{n}", "Title": "T"} for n in range(6000)]
    import_rows(*[r|{"Image Src":"https://x.example/a"} for r in rows[:2000]], dry_run=True)
    session.execute(text("ANALYZE"))
    print(session.execute(text("select relname, relpages, reltuples from pg_class where relname like 'product%' or relname like 'sku%' and relkind='r'")).all())
    t=time.time()
    print(import_rows(*rows).created, time.time()-t)
    t=time.time()
    print(import_rows(*rows).created, time.time()-t)
