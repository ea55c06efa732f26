"""`python -m bench.complexity`"""

import sys

from bench.complexity.command import main

sys.exit(main())
