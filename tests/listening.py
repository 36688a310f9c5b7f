"""A server for what the product calls, which turns nobody away."""

from http.server import ThreadingHTTPServer


class RoomyServer(ThreadingHTTPServer):
    """Of many who knock at once, the standard one resets the sixth while it is busy."""

    request_queue_size = 128
