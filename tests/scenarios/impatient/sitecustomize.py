"""A daemon that looks every two seconds: Python imports this file from a folder on PYTHONPATH.

Dagster has no setting for how often its daemon looks at backfills (30 s) and at sensors (5 s).
"""

import sys

if "dagster._daemon" in sys.orig_argv:
    from dagster._daemon import controller, sensor

    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 2
    sensor.MIN_INTERVAL_LOOP_TIME = 2
