"""Jobs and the engines that carry them out; docs/scale.md has the model, the faults and the measurements.

A command splits its work into jobs (`job`), a plan of them goes through one scheduler (`schedule`) to workers of one of
two engines (`local`, `cluster`), and what they return lands in a store (`store`, `parts`). Nothing here knows what a
job computes: kinds of jobs are named in `job.KINDS` and loaded where they run.
"""

from __future__ import annotations
