"""Admissions: planned by their codes, where the codes allow it, else by the admission type that the claim states.

CMS's Planned Readmission Algorithm, version 4.0 (Yale New Haven Health Services Corporation/CORE, 2019 Hospital-Wide
Readmission Measure Updates and Specifications, version 8.0, tables PR.1 to PR.4), takes an admission for planned that
has a transplant (PA1), whose principal diagnosis is maintenance chemotherapy or rehabilitation (PA2), or that has a
potentially planned procedure (PA3) while its principal diagnosis is neither acute nor a complication of care (PA4). Its
lists, conf/codesets/planned_admissions.csv, are of categories of AHRQ's Clinical Classifications Software (CCS) and of
single codes. Which code is in which category say AHRQ's own files (https://hcup-us.ahrq.gov/toolssoftware/ccs10):
``ccs_dx_icd10cm_*.csv`` and ``ccs_pr_icd10pcs_*.csv``, in whose lines the code and its category stand first.
"""

from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from salus.errors import Refused
from salus.storage.few import few
from salus.storage.small import small_frame
from salus.timelines.code_map import release_of
from salus.timelines.facts import KEYS
from salus.timelines.features import codeset

STAY = "CLAIM/INPATIENT"
"""How the codes of admissions begin on claims, which alone say what the principal diagnosis was."""

UNPLANNED_TYPES, PLANNED_TYPES = ("1", "2"), ("3",)
"""Admission types (NUBC FL 14) that say it by themselves: emergency, urgent; elective."""

SYSTEMS = {"ccs_dx_icd10cm": ("ICD10CM", "CCS_DX"), "ccs_pr_icd10pcs": ("ICD10PCS", "CCS_PR")}
"""How AHRQ's files begin: of which codes they are, and how the code set names their categories."""

FIRST_TREATED = ("A", "B", "C")
"""Seventh characters of ICD-10-CM for an injury that is being treated, and not looked after or left behind."""


def ccs_files(folder: str) -> dict[str, Path]:
    """AHRQ's two files in ``folder``.

    Raises:
        Refused: there is none of one of them, or more than one, or it has other columns.
    """
    found = {}
    for name in SYSTEMS:
        paths = [path for path in Path(folder).glob("*.[cC][sS][vV]") if path.name.lower().startswith(name)]
        if len(paths) != 1:
            raise Refused(
                f"Received the folder {folder}, which has {len(paths)} files {name}_*.csv; expected one. Unpack AHRQ's "
                "CCS for ICD-10-CM and for ICD-10-PCS there, one release of each, or name another folder."
            )
        with paths[0].open(encoding="latin-1") as file:
            if [column.strip("' \n") for column in file.readline().split(",")[1:2]] != ["CCS CATEGORY"]:
                raise Refused(
                    f"Received {paths[0]}, whose second column is not 'CCS CATEGORY'; expected AHRQ's file as it is. "
                    "Download it again."
                )
        found[name] = paths[0]
    return found


def ccs_key(folder: str | None) -> str | None:
    """What tells other files, or other lists, from these without reading the files."""
    return None if folder is None else release_of(ccs_files(folder), repr(codeset("planned_admissions")))


def told_by_codes(events: DataFrame, folder: str | None) -> DataFrame:
    """``events`` (``EVENTS``, whole records), the codes of whose admissions say what the claim's codes say of them.

    An inpatient claim whose admission type does not say the same becomes ``CLAIM/INPATIENT/PLANNED`` or
    ``CLAIM/INPATIENT/UNPLANNED``. It stays as it is where its first ICD-10-CM code, which is the principal diagnosis,
    is in no category and no procedure is a transplant.

    Args:
        events: rows of the table; all of a record's version or none.
        folder: of AHRQ's files; None = no codes tell.
    """
    if folder is None:
        return events
    is_stay = F.startswith("code", F.lit(STAY))
    stays = events.where(is_stay)
    told = stays.join(_planned(events, stays, folder), list(KEYS), "left").withColumn("code", _restated())
    return events.where(~is_stay).unionByName(told.select(events.columns))


def _planned(events, stays, folder):
    """``KEYS, is_planned`` of the records with stays: null where their codes do not tell."""
    key = F.translate("code", ".", "")
    coded = events.where("code LIKE 'ICD10CM/%' OR code LIKE 'ICD10PCS/%'").select(*KEYS, "ordinal", key.alias("key"))
    of_stays = coded.join(stays.select(*KEYS).distinct(), list(KEYS), "left_semi")
    known = of_stays.join(few(_roles(events.sparkSession, folder)), "key", "left")
    is_diagnosis = F.startswith("key", F.lit("ICD10CM/"))
    principal = F.struct("is_always", "is_acute")
    return (
        known.groupBy(*KEYS)
        .agg(
            F.min_by(F.when(is_diagnosis, principal), F.when(is_diagnosis, F.col("ordinal"))).alias("principal"),
            F.bool_or(~is_diagnosis & F.coalesce("is_always", F.lit(False))).alias("has_transplant"),
            F.bool_or(~is_diagnosis & F.coalesce("is_potential", F.lit(False))).alias("has_potential"),
        )
        .select(
            *KEYS,
            F.expr("has_transplant OR principal.is_always OR (has_potential AND NOT principal.is_acute)").alias(
                "is_planned"
            ),
        )
    )


def _roles(spark: SparkSession, folder):
    """``key, is_always, is_potential, is_acute`` of each code that has a category or is itself on a list."""
    lists = small_frame(
        spark,
        [(group.name, code.rstrip("$")) for group in codeset("planned_admissions") for code in group.prefixes],
        "role STRING, listed STRING",
    )
    single = lists.select("role", F.translate("listed", ".", "").alias("key")).where("key LIKE 'ICD10%'")
    named = F.broadcast(lists)
    roles = single
    for name, path in ccs_files(folder).items():
        system, categories = SYSTEMS[name]
        rows = spark.read.csv(str(path.resolve()), header=False, quote='"', encoding="iso-8859-1")
        coded = rows.select(
            _bare(rows.columns[0], f"{system}/"), _bare(rows.columns[1], f"{categories}/").alias("listed")
        )
        in_category = coded.toDF("key", "listed").where(r"listed RLIKE '/\\d+$'").join(named, "listed", "left")
        roles = roles.unionByName(in_category.select("role", "key"))
    code = F.substring_index("key", "/", -1)
    is_first = (F.length(code) < 7) | F.substring(code, 7, 1).isin(*FIRST_TREATED)

    def has(is_role):
        return F.bool_or(F.coalesce(is_role, F.lit(False)))

    role = F.col("role")
    return roles.groupBy("key").agg(
        has(F.startswith(role, F.lit("always_planned"))).alias("is_always"),
        has(role == "potentially_planned_procedure").alias("is_potential"),
        has((role == "acute_diagnosis") | ((role == "acute_at_first") & is_first)).alias("is_acute"),
    )


def _bare(column: str, prefix: str) -> Column:
    """AHRQ's texts stand in single quotes and are filled up with blanks."""
    return F.concat(F.lit(prefix), F.translate(column, "' ", ""))


def _restated() -> Column:
    """The code of an admission of which ``is_planned`` may be known."""
    stated = F.substring_index("code", "/", -1)
    says_so = F.when(F.col("is_planned"), stated.isin(*PLANNED_TYPES)).otherwise(stated.isin(*UNPLANNED_TYPES))
    other = F.when(F.col("is_planned"), f"{STAY}/PLANNED").otherwise(f"{STAY}/UNPLANNED")
    return F.when(F.col("is_planned").isNull() | says_so, F.col("code")).otherwise(other)
