"""Every connection comes from another address of 127.0.0.0/8.

The manager makes an address wait that sends wrong tokens, which is what the check `ignored_auth` does: from one address
it would see nothing but 429 from then on.
"""

import itertools

import urllib3.connection
import urllib3.util.connection

_connect = urllib3.util.connection.create_connection
_addresses = (
    (f"127.{a}.{b}.{c}", 0) for a in itertools.count(1) for b in range(256) for c in range(1, 255)
)


def _from_another_address(address, timeout=None, source_address=None, socket_options=None):
    return _connect(address, timeout, next(_addresses), socket_options)


urllib3.connection.connection.create_connection = _from_another_address
