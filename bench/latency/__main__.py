"""`python -m bench.latency MODEL...`"""

import sys

from bench.latency.command import main

sys.exit(main())
