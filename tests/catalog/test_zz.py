exec(open("/tmp/d_slow.py").read())
from tests.catalog.conftest import *
from sqlalchemy import text
def test_p(session, import_rows):
    session.execute(text("ANALYZE"))
    t=time.time()
    print(import_rows(*[{"Handle": f"p{n}", "Title": "T"} for n in range(6000)]).created, time.time()-t)
    t=time.time()
    print(import_rows(*[{"Handle": f"p{n}", "Title": "T"} for n in range(6000)]).created, time.time()-t)
