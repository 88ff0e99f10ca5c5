"""A parent with a store of its own: says who and where it is, then sleeps until it is killed."""

import sys
import time
from pathlib import Path

from smsc_filter.state.embedded import EmbeddedStore

store = EmbeddedStore(Path(sys.argv[1]))
store.start()
print(store.pid, store.url, flush=True)  # noqa: T201
time.sleep(600)
