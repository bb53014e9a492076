"""Prompts and preferences from tables: each dataset is a schema of columns, read from files or from the hub.

`SCHEMAS` holds the datasets; `DataSettings` is the `data:` part of a config, and `load` reads what it names.
"""

from trainers.language.data.loading import Loaded, Tally, load, records
from trainers.language.data.records import BadRowError, DataError, Preference, dialogue
from trainers.language.data.schemas import SCHEMAS, Schema
from trainers.language.data.settings import DataSettings, SourceSettings, check_use

__all__ = [
    "SCHEMAS",
    "BadRowError",
    "DataError",
    "DataSettings",
    "Loaded",
    "Preference",
    "Schema",
    "SourceSettings",
    "Tally",
    "check_use",
    "dialogue",
    "load",
    "records",
]
