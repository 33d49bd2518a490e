"""All tables of the layer, for the test that compares migrations with models."""

from __future__ import annotations

from shared.metrics.baseline import models as baseline
from shared.metrics.entries import models as entries
from shared.metrics.imports import models as imports
from shared.metrics.lineage import models as lineage
from shared.metrics.models import METADATA

MODULES = (baseline, entries, imports, lineage)

__all__ = ["METADATA", "MODULES"]
