"""How the web processes run: a process per core, threads for what waits, logs left to the app.

Threads, because a checkout waits for Stripe and browsers open connections long before they ask:
two such visitors would hold up two single-threaded workers, and with them the whole shop.
"""

import multiprocessing
import os

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", multiprocessing.cpu_count()))
worker_class = "gthread"
# At most twice POOL_SIZE, or threads would wait for a connection to Postgres.
threads = int(os.environ.get("WEB_THREADS", "8"))
# Longer than the minute after which most load balancers give an idle connection up.
keepalive = 75
timeout = 60
graceful_timeout = 20
# Loaded once, before the workers fork: no connection is opened until a request needs it.
preload_app = True
accesslog = None
errorlog = "-"
loglevel = "warning"
max_requests = int(os.environ.get("WEB_MAX_REQUESTS", "0"))
max_requests_jitter = max_requests // 10
