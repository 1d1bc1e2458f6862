"""Every table's schema, with units in its field comments: the contract between the steps.

A write ends in a ``select`` equal to its declared schema; ``TABLES`` names every table of a warehouse.
"""

from salus.schemas.derived import (
    ATTRITION,
    CALIBRATIONS,
    CODE_MAP,
    CODES,
    COHORT,
    DAILY_VOLUMES,
    DEMO_TRUTH,
    EVALUATIONS,
    FOLDS,
    IDENTITY,
    IMPORTANCES,
    MATCHES,
    MODELS,
    PROMOTIONS,
    QUALITY,
    REFITS,
    TIMELINES,
    TRIALS,
)
from salus.schemas.landed import (
    COMPOUNDS,
    COSTS,
    COVERAGE,
    DEFINITIONS,
    EVENTS,
    IDENTITY_CONFLICTS,
    IMAGES,
    INGESTED_FILES,
    LINKAGE,
    LINKS,
    NOTES,
    PERSONS,
    QUARANTINE,
    RECORDINGS,
    RECORDS,
)
from salus.schemas.runs import DISCLOSURES, RUNS, SNAPSHOTS, SUPPRESSED
from salus.schemas.scored import SCORE_RUNS, SCORES, SCORES_SUPERSEDED

VOID_CODE = "SALUS_VOID"
"""The code of the one event of a version that withdraws its record."""

TABLES = {
    "events": EVENTS,
    "persons": PERSONS,
    "coverage": COVERAGE,
    "costs": COSTS,
    "notes": NOTES,
    "recordings": RECORDINGS,
    "images": IMAGES,
    "compounds": COMPOUNDS,
    "definitions": DEFINITIONS,
    "records": RECORDS,
    "links": LINKS,
    "linkage": LINKAGE,
    "matches": MATCHES,
    "identity": IDENTITY,
    "identity_conflicts": IDENTITY_CONFLICTS,
    "ingested_files": INGESTED_FILES,
    "quarantine": QUARANTINE,
    "quality": QUALITY,
    "daily_volumes": DAILY_VOLUMES,
    "timelines": TIMELINES,
    "codes": CODES,
    "code_map": CODE_MAP,
    "attrition": ATTRITION,
    "models": MODELS,
    "trials": TRIALS,
    "promotions": PROMOTIONS,
    "calibrations": CALIBRATIONS,
    "evaluations": EVALUATIONS,
    "folds": FOLDS,
    "refits": REFITS,
    "importances": IMPORTANCES,
    "scores": SCORES,
    "score_runs": SCORE_RUNS,
    "scores_superseded": SCORES_SUPERSEDED,
    "demo_truth": DEMO_TRUTH,
    "suppressed": SUPPRESSED,
    "disclosures": DISCLOSURES,
    "runs": RUNS,
    "snapshots": SNAPSHOTS,
}


def schema_of(table):
    """The StructType of ``table``; every ``cohorts/<task>`` has the one schema ``COHORT``."""
    return COHORT if table.startswith("cohorts/") else TABLES[table]
