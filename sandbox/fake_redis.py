"""Serves fakeredis over TCP for the demo on machines that have no Redis binary."""

import argparse

from fakeredis import TcpFakeServer

from sandbox.ports import HOST


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.fake_redis")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    with TcpFakeServer((HOST, options.port), server_type="redis") as server:
        server.daemon_threads = True
        server.serve_forever()


if __name__ == "__main__":
    main()
