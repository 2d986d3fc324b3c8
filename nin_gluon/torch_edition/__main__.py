"""``python -m nin_gluon.torch_edition``."""

import sys

from nin_gluon.torch_edition import main

sys.exit(main())
