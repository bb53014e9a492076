"""A MACPO run among language models of seconds, for tests."""

from __future__ import annotations

SMALL = (
    "game=language", "contexts=24", "held_out=16", "supervision.labels=16", "builtin.steps=20", "builtin.batch=32",
    "builtin.learning_rate=0.01", "supervision.teacher={hidden: 16, layers: 1, heads: 2, intermediate: 32}",
    "supervision.student={hidden: 16, layers: 1, heads: 2, intermediate: 32}", "model.lora_rank=4", "gate=0",
    "teachers.epochs=2", "teachers.batch=8", "student.epochs=2", "student.batch=8", "contrast.batch=8", "rounds=2",
)  # fmt: skip
