"""What the population can have: conditions, drugs and measurements, with the real code systems.

A condition's share of people who have it by age ``a`` is ``ceiling / (1 + exp(-(a - midpoint) / spread))``; a latent
metabolic or smoking tendency moves the midpoint. Weights are on the logit of the daily hazards (docs/risk_model.md).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """A chronic condition, how it spreads with age and what it does to the hazards."""

    name: str
    icd10: str  # ICD-10-CM, "" where the records hold SNOMED only
    snomed: str
    display: str
    ceiling: float  # share of people who ever have it
    midpoint: float  # years of age
    spread: float  # years
    metabolic: float = 0.0  # years earlier for each standard deviation of the metabolic tendency
    smoking: float = 0.0  # years earlier for each standard deviation of the smoking tendency
    admission: float = 0.0  # added to the logit of the daily hazard of an unplanned admission
    death: float = 0.0  # added to the logit of the daily hazard of death
    burden: float = 0.0  # added to the logit of the weekly probability of decompensation
    female: float = 0.0  # years earlier for women
    drugs: tuple[str, ...] = ()


CONDITIONS = (
    Condition(
        "hypertension",
        "I10",
        "59621000",
        "Essential hypertension",
        0.70,
        58,
        11,
        7,
        0,
        0.10,
        0.05,
        0.10,
        drugs=("lisinopril", "amlodipine", "losartan", "hydrochlorothiazide"),
    ),
    Condition(
        "diabetes",
        "E11.9",
        "44054006",
        "Diabetes mellitus type 2",
        0.30,
        58,
        11,
        9,
        0,
        0.30,
        0.20,
        0.15,
        drugs=("metformin", "glipizide", "insulin_glargine", "empagliflozin"),
    ),
    Condition("ckd3", "N18.30", "433144002", "Chronic kidney disease stage 3", 0.28, 71, 9, 7, 0, 0.20, 0.20, 0.20),
    Condition("ckd4", "N18.4", "431857002", "Chronic kidney disease stage 4", 0, 0, 1, 0, 0, 0.25, 0.35, 0.10),
    Condition(
        "heart_failure",
        "I50.9",
        "84114007",
        "Heart failure",
        0.22,
        77,
        9,
        6,
        3,
        0.50,
        0.50,
        0.70,
        drugs=("furosemide", "carvedilol", "spironolactone"),
    ),
    Condition(
        "copd",
        "J44.9",
        "13645005",
        "Chronic obstructive lung disease",
        0.20,
        69,
        10,
        0,
        9,
        0.50,
        0.40,
        0.65,
        drugs=("tiotropium", "fluticasone_salmeterol"),
    ),
    Condition(
        "atrial_fibrillation",
        "I48.91",
        "49436004",
        "Atrial fibrillation",
        0.20,
        77,
        9,
        3,
        2,
        0.30,
        0.25,
        0.20,
        drugs=("apixaban", "warfarin", "metoprolol"),
    ),
    Condition(
        "coronary_disease",
        "I25.10",
        "53741008",
        "Coronary arteriosclerosis",
        0.28,
        71,
        10,
        6,
        5,
        0.35,
        0.25,
        0.25,
        -6,
        drugs=("clopidogrel", "metoprolol"),
    ),
    Condition("asthma", "J45.909", "195967001", "Asthma", 0.09, 18, 14, 0, 2, 0.20, 0.05, 0.25, drugs=("albuterol",)),
    Condition(
        "depression",
        "F32.A",
        "35489007",
        "Depressive disorder",
        0.19,
        38,
        17,
        2,
        3,
        0.25,
        0.10,
        0.10,
        6,
        drugs=("sertraline",),
    ),
    Condition(
        "anxiety",
        "F41.9",
        "197480006",
        "Anxiety disorder",
        0.17,
        34,
        16,
        0,
        2,
        0.05,
        0.0,
        0.0,
        6,
        drugs=("sertraline",),
    ),
    Condition(
        "hyperlipidaemia",
        "E78.5",
        "55822004",
        "Hyperlipidemia",
        0.60,
        57,
        11,
        7,
        0,
        0.0,
        0.0,
        0.0,
        drugs=("atorvastatin", "simvastatin"),
    ),
    Condition("obesity", "E66.9", "414916001", "Obesity", 0.40, 40, 16, 14, 0, 0.05, 0.05, 0.05),
    Condition(
        "hypothyroidism",
        "E03.9",
        "40930008",
        "Hypothyroidism",
        0.12,
        58,
        13,
        0,
        0,
        0.0,
        0.0,
        0.0,
        10,
        drugs=("levothyroxine",),
    ),
    Condition(
        "osteoarthritis",
        "M19.90",
        "396275006",
        "Osteoarthritis",
        0.50,
        66,
        10,
        3,
        0,
        0.0,
        0.0,
        0.0,
        3,
        drugs=("naproxen",),
    ),
    Condition(
        "dementia", "F03.90", "52448006", "Dementia", 0.30, 84, 6, 1, 1, 0.50, 0.75, 0.10, 1, drugs=("donepezil",)
    ),
    Condition(
        "stroke",
        "I63.9",
        "230690007",
        "Cerebrovascular accident",
        0.12,
        78,
        10,
        4,
        4,
        0.35,
        0.35,
        0.20,
        drugs=("clopidogrel", "atorvastatin"),
    ),
    Condition("cancer", "C80.1", "363346000", "Malignant neoplastic disease", 0.16, 70, 11, 0, 5, 0.55, 0.95, 0.20),
    Condition("anaemia", "D64.9", "271737000", "Anemia", 0.14, 72, 14, 1, 1, 0.15, 0.15, 0.10, 4),
    Condition(
        "osteoporosis",
        "M81.0",
        "64859006",
        "Osteoporosis",
        0.20,
        74,
        9,
        0,
        2,
        0.05,
        0.05,
        0.0,
        9,
        drugs=("alendronate",),
    ),
    Condition(
        "reflux",
        "K21.9",
        "235595009",
        "Gastroesophageal reflux disease",
        0.26,
        52,
        15,
        3,
        2,
        0.0,
        0.0,
        0.0,
        drugs=("omeprazole",),
    ),
    Condition("cirrhosis", "K74.60", "19943007", "Cirrhosis of liver", 0.025, 60, 9, 3, 3, 0.80, 0.90, 0.50),
    Condition(
        "rheumatoid_arthritis",
        "M06.9",
        "69896004",
        "Rheumatoid arthritis",
        0.02,
        55,
        12,
        0,
        3,
        0.25,
        0.10,
        0.15,
        8,
        drugs=("methotrexate",),
    ),
    Condition("alcohol_use_disorder", "F10.20", "7200002", "Alcoholism", 0.05, 36, 12, 0, 5, 0.50, 0.40, 0.25, -6),
    Condition("prediabetes", "", "15777000", "Prediabetes", 0.30, 54, 12, 8, 0, 0.0, 0.0, 0.0),
    Condition(
        "severe_obesity", "", "408512008", "Body mass index 40+ - severely obese", 0.06, 42, 12, 12, 0, 0.15, 0.10, 0.10
    ),
)
CONDITION = {c.name: n for n, c in enumerate(CONDITIONS)}


@dataclass(frozen=True)
class Drug:
    """A drug as prescriptions (RxNorm) and pharmacies (NDC, 11 digits) code it."""

    rxnorm: str
    ndc: str
    display: str
    paid_usd: float  # for 30 days
    units_a_day: float = 1.0


DRUGS = {
    "lisinopril": Drug("314076", "68180098001", "lisinopril 10 MG Oral Tablet", 4.1),
    "amlodipine": Drug("197361", "00069153066", "amlodipine 5 MG Oral Tablet", 5.2),
    "losartan": Drug("979492", "00006095254", "losartan potassium 50 MG Oral Tablet", 7.4),
    "hydrochlorothiazide": Drug("310798", "00172208380", "hydrochlorothiazide 25 MG Oral Tablet", 3.0),
    "metformin": Drug(
        "860975", "62756014201", "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet", 8.8, 2
    ),
    "glipizide": Drug("310488", "00049411066", "glipizide 5 MG Oral Tablet", 6.0, 2),
    "insulin_glargine": Drug("311041", "00088222033", "insulin glargine 100 UNT/ML Injectable Solution", 212.4, 0.34),
    "empagliflozin": Drug("1545658", "00597015230", "empagliflozin 10 MG Oral Tablet", 541.0),
    "furosemide": Drug("313988", "00039006013", "furosemide 40 MG Oral Tablet", 3.6),
    "carvedilol": Drug("200031", "00007414020", "carvedilol 6.25 MG Oral Tablet", 6.9, 2),
    "spironolactone": Drug("313096", "00025100131", "spironolactone 25 MG Oral Tablet", 7.1),
    "tiotropium": Drug("580261", "00597007541", "tiotropium 0.018 MG Inhalation Powder", 402.0),
    "fluticasone_salmeterol": Drug(
        "896209",
        "00173069600",
        "60 ACTUAT fluticasone propionate 0.25 MG/ACTUAT / salmeterol 0.05 MG/ACTUAT Dry Powder Inhaler",
        295.0,
        2,
    ),
    "apixaban": Drug("1364445", "00003089421", "apixaban 5 MG Oral Tablet", 498.0, 2),
    "warfarin": Drug("855332", "00056017270", "warfarin sodium 5 MG Oral Tablet", 9.3),
    "metoprolol": Drug("866436", "00186109005", "24 HR metoprolol succinate 50 MG Extended Release Oral Tablet", 8.0),
    "clopidogrel": Drug("309362", "63653117101", "clopidogrel 75 MG Oral Tablet", 9.9),
    "albuterol": Drug("745679", "00173068220", "200 ACTUAT albuterol 0.09 MG/ACTUAT Metered Dose Inhaler", 48.0, 0.6),
    "sertraline": Drug("312941", "00049490066", "sertraline 50 MG Oral Tablet", 8.2),
    "atorvastatin": Drug("617312", "00071015523", "atorvastatin 10 MG Oral Tablet", 7.7),
    "simvastatin": Drug("314231", "00006073531", "simvastatin 10 MG Oral Tablet", 4.4),
    "levothyroxine": Drug("966222", "00074518290", "levothyroxine sodium 0.075 MG Oral Tablet", 14.0),
    "naproxen": Drug("849574", "00904562161", "naproxen sodium 220 MG Oral Tablet", 6.1, 2),
    "donepezil": Drug("997223", "62856024630", "donepezil hydrochloride 10 MG Oral Tablet", 11.5),
    "alendronate": Drug("904419", "00006093631", "alendronic acid 10 MG Oral Tablet", 12.3),
    "omeprazole": Drug("198051", "00186074231", "omeprazole 20 MG Delayed Release Oral Capsule", 9.0),
    "methotrexate": Drug("105585", "00054455025", "methotrexate 2.5 MG Oral Tablet", 19.5, 0.86),
    "nifedipine": Drug("198034", "00069265066", "24 HR nifedipine 30 MG Extended Release Oral Tablet", 12.8),
    "bumetanide": Drug("197418", "00004012101", "bumetanide 1 MG Oral Tablet", 9.7),
}
DRUG_NAMES = tuple(DRUGS)


@dataclass(frozen=True)
class Lab:
    """A measurement: LOINC, its UCUM unit and how many decimals are reported."""

    name: str
    loinc: str
    display: str
    unit: str
    decimals: int


LABS = (
    Lab("hba1c", "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 1),
    Lab("creatinine", "2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 2),
    Lab("egfr", "33914-3", "Glomerular filtration rate/1.73 sq M.predicted", "mL/min/{1.73_m2}", 0),
    Lab("ldl", "13457-7", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation", "mg/dL", 0),
    Lab("bnp", "42637-9", "Natriuretic peptide B [Mass/volume] in Blood", "pg/mL", 0),
    Lab("weight", "29463-7", "Body weight", "kg", 1),
    Lab("glucose", "2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", 0),
    Lab("haemoglobin", "718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 1),
    Lab("potassium", "2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 1),
    Lab("crp", "1988-5", "C reactive protein [Mass/volume] in Serum or Plasma", "mg/L", 1),
)
LAB = {lab.name: n for n, lab in enumerate(LABS)}
MOLAR = {"glucose": (1 / 18.016, "mmol/L", 2), "creatinine": (88.42, "umol/L", 1)}  # factor, unit, decimals at site c


@dataclass(frozen=True)
class Cause:
    """Why somebody comes in: a diagnosis, and the MS-DRG where it leads to an admission."""

    icd10: str
    snomed: str
    display: str
    drg: str = ""


CAUSES = (
    Cause("J18.9", "233604007", "Pneumonia", "193"),
    Cause("A41.9", "91302008", "Sepsis", "871"),
    Cause("I50.9", "84114007", "Heart failure", "291"),
    Cause("J44.1", "195951007", "Acute exacerbation of chronic obstructive airways disease", "190"),
    Cause("N17.9", "14669001", "Acute kidney injury", "682"),
    Cause("R07.9", "29857009", "Chest pain", "313"),
    Cause("N39.0", "68566005", "Urinary tract infectious disease", "689"),
    Cause("R06.02", "267036007", "Dyspnea"),
    Cause("R53.83", "84229001", "Fatigue"),
    Cause("R60.9", "267038008", "Edema"),
    Cause("J06.9", "54150009", "Upper respiratory infection"),
    Cause("M54.50", "279039007", "Low back pain"),
    Cause("Z00.00", "185349003", "Encounter for check up"),
    Cause("M17.9", "239873007", "Osteoarthritis of knee", "470"),
)
CAUSE = {c.icd10: n for n, c in enumerate(CAUSES)}
