"""``python -m nin_gluon.exercises``."""

import sys

from nin_gluon.exercises import main

sys.exit(main())
