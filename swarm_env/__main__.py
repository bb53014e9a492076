"""`python -m swarm_env`: the `swarm` command under a name that no other package installs."""

from __future__ import annotations

import sys

from swarm_env.cli import main

sys.exit(main())
