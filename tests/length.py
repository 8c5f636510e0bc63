"""The length of the tests whose strength is their number: `make test-long` is for a night."""

import os
from typing import Final

LONG: Final = bool(os.environ.get("LONG"))
