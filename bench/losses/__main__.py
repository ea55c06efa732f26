"""`python -m bench.losses`"""

import sys

from bench.losses.command import main

sys.exit(main())
