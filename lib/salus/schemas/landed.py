"""What came in: append-only tables, one row for each version of each thing that a source said."""

from pyspark.sql.types import StructType

from salus.schemas.fields import (
    BOOLEAN,
    DATE,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    LONGS,
    MEASURES,
    MONEY,
    STRING,
    TIME,
    array_of,
    field,
)

PROVENANCE = [
    field("source_subject_id", LONG, "keyed pseudonym of site, system and the source's person; never moves", True),
    field("record_id", LONG, "keyed hash of site, source, record type and the record's own id", True),
    field("version", LONG, "the source's own version, else the delivery's time in microseconds", True),
    field("ordinal", INT, "position within the record's rows of this table", True),
    field("available_time", TIME, "UTC; when a score could first have known it; null = always (static)"),
    field("file_id", LONG, "hash of the file's content", True),
    field("record", LONG, "position of the record in its file, from 0", True),
]

LAG_ASSUMED = field(
    "is_lag_assumed", BOOLEAN, "nothing told available_time: the source's assumed_lag gave it; null = not said"
)

EVENTS = StructType(
    [
        field("source_subject_id", LONG, "keyed pseudonym of site, system and the source's person", True),
        field("time", TIME, "UTC; when it happened; null = static"),
        field("available_time", TIME, "UTC; when a score could first have known it; null = always (static)"),
        LAG_ASSUMED,
        field("code", STRING, "vocabulary/code, e.g. LOINC/4548-4", True),
        field("numeric_value", FLOAT, "in the code's canonical unit"),
        field("text_value", STRING, "a coded or short textual value"),
        field("unit", STRING, "UCUM unit of numeric_value"),
        field("visit_id", LONG, "record_id of the visit that it belongs to"),
        field("record_id", LONG, "keyed hash of site, source, record type and the record's own id", True),
        field("version", LONG, "the source's own version, else the delivery's time in microseconds", True),
        field("ordinal", INT, "the event within its record", True),
        field("file_id", LONG, "hash of the file's content", True),
        field("record", LONG, "position of the record in its file, from 0", True),
    ]
)

PERSONS = StructType(
    [
        *PROVENANCE,
        field("gender_concept_id", INT, "OMOP: 8507 male, 8532 female, 0 unknown"),
        field("year_of_birth", INT, "year"),
        field("month_of_birth", INT, "month, 1 to 12"),
        field("day_of_birth", INT, "day of month"),
        field("birth_datetime", TIME, "UTC"),
        field("death_datetime", TIME, "UTC; null = not known to have died"),
        field("race_source_value", STRING, "as the source codes it"),
        field("ethnicity_source_value", STRING, "as the source codes it"),
        field("gender_source_value", STRING, "as the source codes it"),
        field("care_site_source_value", STRING, "the site or practice that the person belongs to"),
    ]
)

COVERAGE = StructType(
    [
        *PROVENANCE,
        field("payer_plan_period_start_date", DATE, "first day covered"),
        field("payer_plan_period_end_date", DATE, "last day covered; null = open"),
        field("payer_source_value", STRING, "payer"),
        field("plan_source_value", STRING, "plan"),
        field("family_source_value", STRING, "kind of payer"),
    ]
)

COSTS = StructType(
    [
        *PROVENANCE,
        LAG_ASSUMED,
        field("cost_domain_id", STRING, "OMOP domain: Visit, Procedure, Drug"),
        field("incurred_date", DATE, "date of service"),
        field("paid_date", DATE, "date of payment; null = not stated"),
        field("currency", STRING, "ISO 4217"),
        field("total_charge", MONEY, "currency units"),
        field("total_paid", MONEY, "currency units"),
        field("amount_allowed", MONEY, "currency units"),
        field("paid_by_payer", MONEY, "currency units"),
        field("paid_by_patient", MONEY, "currency units"),
        field("paid_patient_copay", MONEY, "currency units"),
        field("paid_patient_coinsurance", MONEY, "currency units"),
        field("paid_patient_deductible", MONEY, "currency units"),
        field("revenue_code_source_value", STRING, "NUBC revenue center"),
        field("drg_source_value", STRING, "MS-DRG"),
        field("visit_id", LONG, "record_id of the visit or claim"),
    ]
)

NOTES = StructType(
    [
        *PROVENANCE,
        field("note_datetime", TIME, "UTC; when it was written"),
        field("note_class_source_value", STRING, "kind of note, e.g. LOINC/34117-2"),
        field("note_text", STRING, "free text: may identify a person"),
        field("language", STRING, "BCP 47"),
        field("visit_id", LONG, "record_id of the visit"),
    ]
)

CHANNELS = array_of(name=STRING, unit=STRING, rate_hz=DOUBLE, samples=LONG, scale=DOUBLE, offset=DOUBLE)
"""A signal's channels: ``physical value in unit = sample x scale + offset``."""

RECORDINGS = StructType(
    [
        *PROVENANCE,
        field("recording_datetime", TIME, "UTC; when it began; null = not stated"),
        field("duration_seconds", DOUBLE, "seconds"),
        field("modality", STRING, "kind of signal, e.g. ECG"),
        field("location", STRING, "the file that holds the samples or names those that do"),
        field("channels", CHANNELS, "name, unit as the source writes it, rate in Hz, samples, scale, offset"),
        field("visit_id", LONG, "record_id of the visit or study"),
    ]
)

IMAGES = StructType(
    [
        *PROVENANCE,
        field("image_datetime", TIME, "UTC; when it was acquired"),
        field("modality", STRING, "DICOM modality, e.g. CT"),
        field("body_part", STRING, "DICOM body part examined"),
        field("location", STRING, "the file that holds the pixels"),
        field("transfer_syntax", STRING, "DICOM UID: how the pixels are encoded"),
        field("is_compressed", BOOLEAN, "the pixels need a decoder"),
        field("photometric_interpretation", STRING, "how samples are to be read as brightness or colour"),
        field("samples_per_pixel", INT, "colour planes"),
        field("rows", INT, "pixels"),
        field("columns", INT, "pixels"),
        field("frames", INT, "images in the file"),
        field("bits_allocated", INT, "bits a sample in the file"),
        field("bits_stored", INT, "bits a sample that are used"),
        field("is_signed", BOOLEAN, "samples are two's complement"),
        field("rescale_slope", DOUBLE, "value = sample x slope + intercept; null = no rescale"),
        field("rescale_intercept", DOUBLE, "value = sample x slope + intercept; null = no rescale"),
        field("rescale_type", STRING, "unit of the rescaled value, e.g. HU"),
        field("row_spacing", DOUBLE, "mm between rows"),
        field("column_spacing", DOUBLE, "mm between columns"),
        field("burned_in_annotation", STRING, "YES, NO; null = not stated"),
        field("may_identify", BOOLEAN, "the pixels carry text, or are of a kind that often does and nothing denies it"),
        field("visit_id", LONG, "record_id of the visit or study"),
    ]
)

COMPOUNDS = StructType(
    [
        *PROVENANCE,
        field("dataset", STRING, "which collection it comes from"),
        field("smiles", STRING, "RDKit's canonical SMILES"),
        field("inchi_key", STRING, "hash of the standard InChI; null where the structure has none"),
        field("formula", STRING, "molecular formula"),
        field("molecular_weight", DOUBLE, "g/mol"),
        field("outcomes", MEASURES, "measured outcomes by name; what was not measured is absent"),
    ]
)
"""A compound is its own subject: ``source_subject_id`` equals ``record_id`` and names nobody."""

DEFINITIONS = StructType(
    [
        *PROVENANCE,
        field("code", STRING, "vocabulary/code that a record names by this one's id, e.g. RxNorm/860975"),
    ]
)
"""A definition is nobody's: ``source_subject_id`` equals ``record_id``, as of a compound."""

RECORDS = StructType(
    [
        field("record_id", LONG, "keyed hash of site, source, record type and the record's own id", True),
        field("version", LONG, "version of the record", True),
        field("source_subject_id", LONG, "whose it is", True),
        field("record_type", STRING, "source/type, e.g. fhir_r4/Observation", True),
        field("content_hash", LONG, "hash of what the version says, to know a repetition", True),
        field("available_time", TIME, "UTC; when this version could first be known; null = always"),
        field("is_void", BOOLEAN, "the version withdraws its record", True),
        field("file_id", LONG, "hash of the file's content", True),
        field("record", LONG, "position of the record in its file, from 0", True),
    ]
)

LINKS = StructType(
    [
        field("source_subject_id", LONG, "who carries the identifier", True),
        field("identifier_id", LONG, "keyed hash of system and value", True),
        field("system_priority", INT, "rank of the subject's system; the lowest names the person", True),
        field("record_id", LONG, "the record that says so, until a newer version of it", True),
        field("version", LONG, "version of the record", True),
        field("known_from", TIME, "UTC; null = always"),
        field("file_id", LONG, "hash of the file's content", True),
        field("record", LONG, "position of the record in its file, from 0; -1 = missing from it", True),
    ]
)

LINKAGE = StructType(
    [
        field("source_subject_id", LONG, "whom the record is about", True),
        field("dataset", STRING, "site/system: within one, a person has one id", True),
        field("fields", array_of(name=STRING, token=LONG), "what the record says, as keyed hashes", True),
        field("threshold", DOUBLE, "match probability from which on its source links", True),
        field("record_id", LONG, "the record that says so, until a newer version of it", True),
        field("version", LONG, "version of the record", True),
        field("known_from", TIME, "UTC; null = always"),
        field("file_id", LONG, "hash of the file's content", True),
        field("record", LONG, "position of the record in its file, from 0; -1 = missing from it", True),
    ]
)

IDENTITY_CONFLICTS = StructType(
    [
        field(
            "reason",
            STRING,
            "identifier_joins_too_many, two_birth_dates, two_sexes; of a match that joins nobody: "
            "match_of_two_birth_dates, match_of_two_sexes, match_of_two_people, match_joins_too_many",
            True,
        ),
        field("identifier_id", LONG, "the suspended identifier, where one is"),
        field("source_subject_ids", LONGS, "up to 20 of the subjects who are not all one person", True),
        field("subjects", LONG, "how many source subjects are concerned", True),
    ]
)

INGESTED_FILES = StructType(
    [
        field("file_id", LONG, "hash of the file's content", True),
        field("file", STRING, "name under the input folder", True),
        field("folder", STRING, "the input folder, in which a later ingest may look for what it refused; null = gone"),
        field("source", STRING, "source name", True),
        field("site", STRING, "site name", True),
        field("record_type", STRING, "record type within the source", True),
        field("bytes", LONG, "bytes", True),
        field("rows_read", LONG, "records", True),
        field("rows_accepted", LONG, "records", True),
        field("rows_quarantined", LONG, "records", True),
        field(
            "rows_unchanged",
            LONG,
            "accepted records that wrote nothing: repetitions, and types that the source ignores",
            True,
        ),
        field("events_written", LONG, "events", True),
        field("mapping_hash", STRING, "SHA-256 of the source's mapping", True),
        field("delivered_at", TIME, "UTC; when the file came, by the delivery's own clock", True),
        field("batch_id", LONG, "the ingest that took it", True),
    ]
)

QUARANTINE = StructType(
    [
        field("file_id", LONG, "hash of the file's content", True),
        field("record", LONG, "position of the record in its file, from 0", True),
        field("source_subject_id", LONG, "whose it is, where it says so", False),
        field("source", STRING, "source name", True),
        field("record_type", STRING, "record type within the source", True),
        field("rule", STRING, "the first rule that it broke", True),
        field("reason", STRING, "what the rule expects; never a value", True),
        field("mapping_hash", STRING, "SHA-256 of the source's mapping", True),
        field("batch_id", LONG, "the ingest that refused it", True),
        field("raw", STRING, "the record itself: identifies a person; null = not kept, as conf/privacy has it"),
    ]
)
