"""`python -m bench.training`"""

import sys

from bench.training.command import main

sys.exit(main())
