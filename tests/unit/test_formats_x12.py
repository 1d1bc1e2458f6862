"""X12: claims and payments out of whole envelopes, each by itself, whatever the separators and the chunks."""

import re
from collections import Counter
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.sources import x12
from salus.sources.formats import x12_835, x12_837

PROFESSIONAL = """ST*837*0001*005010X222A1
BHT*0019*00*77*20230105*0815*CH
NM1*85*2*CLINIC*****XX*1234567893
HL*1**20*1
NM1*85*2*CLINIC*****XX*1234567893
HL*2*1*22*1
SBR*P*18*******CI
NM1*IL*1*DOE*JANE****MI*M1
DMG*D8*19600229*F
NM1*PR*2*PAYER*****PI*P9
CLM*C1*100.1***11:B:1*Y*A*Y*I
HI*ABK:E119*ABF:I10
LX*1
SV1*HC:99213:25:59*60.1*UN*1***1
DTP*472*D8*20230102
LX*2
SV1*HC:83036*40*UN*1***1
DTP*472*RD8*20230102-20230103
LIN**N4*00093721410
HL*3*2*23*0
PAT*19
NM1*QC*1*DOE*TOM
DMG*D8*20150101*M
CLM*C2*55***11:B:7*Y*A*Y*I
REF*F8*ICN1
HI*ABK:J069
SBR*S*18
NM1*IL*1*OTHER*PAYER****MI*X1
REF*F8*NOT-OURS
DTP*573*D8*20230120
LX*1
SV1*HC:99213*55*UN*1***1
DTP*472*D8*20230104
SE*33*0001"""

INSTITUTIONAL = """ST*837*0002*005010X223A2
BHT*0019*00*78*20230301*101530*CH
HL*1**20*1
NM1*85*2*HOSPITAL*****XX*1999999992
HL*2*1*22*0
SBR*P*18*******MB
NM1*IL*1*ROE*RICHARD****MI*M2
DMG*D8*19500101*M
NM1*PR*2*PAYER*****PI*P9
CLM*H1*25000.55***11:A:1**A*Y*Y
DTP*434*RD8*20230201-20230207
DTP*435*DT*202302010915
DTP*096*TM*1130
CL1*1*7*01
HI*ABK:I5023
HI*ABJ:R0602
HI*DR:291
HI*BBR:4A023N7:D8:20230202
LX*1
SV2*0120**20000*DA*6
DTP*472*D8*20230201
LX*2
SV2*0300*HC:80053*5000.55*UN*2
DTP*472*D8*20230202
SE*24*0002"""

REMITTANCE = """ST*835*1001
BPR*I*45.5*C*ACH*CCP*01*1*DA*2*1511111111**01*3*DA*4*20230210
TRN*1*CHK77*1511111111
N1*PR*PAYER*XV*P9
N1*PE*CLINIC*XX*1234567893
LX*1
CLP*C1*1*100.1*65.5*20*CI*ICN1*11*1
NM1*QC*1*DOE*JANE****MI*M1
DTM*232*20230102
SVC*HC:99213*60.1*45.5**1
DTM*472*20230102
CAS*CO*45*4.6
CAS*PR*2*10
AMT*B6*55.5
SVC*HC:83036*40*20
DTM*472*20230103
CAS*CO*45*10
CAS*PR*1*4**3*6
AMT*B6*30
CLP*C1*22*-100.1*-65.5**CI*ICN1*11*8
NM1*QC*1*DOE*JANE****MI*M1
CAS*CO*45*-14.6
CAS*PR*1*-20
CLP*C2*1*55*45*10*CI*ICN2*11*1
NM1*QC*1*DOE*TOM
NM1*IL*1*DOE*JANE****MI*M1
CAS*PR*3*9
PLB*1234567893*20231231*WO:1*-0.5
SE*27*1001"""


def interchange(*transactions: str, code="HC", version="005010X222A1", number="000000001", separators="*:~\n") -> str:
    element, component, terminator, gap = separators
    isa = f"ISA*00*{' ' * 10}*00*{' ' * 10}*ZZ*{'SENDER':15}*ZZ*{'RECEIVER':15}*230105*0815*^*00501*{number}*0*P*:"
    lines = [isa, f"GS*{code}*S*R*20230105*0815*5*X*{version}"]
    lines += [line for one in transactions for line in one.splitlines()]
    lines += [f"GE*{len(transactions)}*5", f"IEA*1*{number}"]
    return "".join(line.replace("*", element).replace(":", component) + terminator + gap.strip(" ") for line in lines)


def remittance(transaction: str) -> str:
    return interchange(transaction, code="HP", version="005010X221A1")


def written(tmp_path, text: str):
    path = tmp_path / "claims.x12"
    path.write_text(text, encoding="latin-1", newline="")
    return str(path)


@pytest.fixture
def claims(tmp_path):
    return lambda text: list(x12_837.read(written(tmp_path, text)))


@pytest.fixture
def payments(tmp_path):
    return lambda text: list(x12_835.read(written(tmp_path, text)))


def test_a_claim_is_read_with_its_subscriber_diagnoses_and_lines(claims):
    record = claims(interchange(PROFESSIONAL))[0]
    fields = record.fields
    assert (record.kind, record.broken) == ("claim", None)
    said = {name: fields[name] for name in ("claim_id", "total_charge", "frequency", "created", "billing_npi")}
    assert said == {
        "claim_id": "C1",
        "total_charge": "100.1",
        "frequency": "1",
        "created": "20230105081500",
        "billing_npi": "1234567893",
    }
    assert (fields["member_id"], fields["dependent"], fields["birth_date"], fields["sex"]) == (
        "M1",
        None,
        "19600229",
        "F",
    )
    assert fields["diagnoses"] == [
        {"system": "ICD10CM", "code": "E119", "role": "principal"},
        {"system": "ICD10CM", "code": "I10", "role": "other"},
    ]
    first, second = fields["lines"]
    assert (first["system"], first["code"], first["modifiers"], first["charge"]) == ("HC", "99213", "25,59", "60.1")
    assert (second["start"], second["end"], second["ndc"]) == ("20230102", "20230103", "00093721410")
    assert (fields["first_service"], fields["last_service"]) == ("20230102", "20230103")


def test_a_dependents_claim_is_the_dependents_and_what_it_replaces_is_its_own_payers_number(claims):
    first, second = (record.fields for record in claims(interchange(PROFESSIONAL)))
    assert (second["member_id"], second["birth_date"], second["sex"]) == ("M1", "20150101", "M")
    assert second["dependent"] not in (None, first["dependent"])
    assert (second["frequency"], second["original_reference"]) == ("7", "ICN1")


def test_an_institutional_claim_has_stay_procedures_and_drg(claims):
    (record,) = claims(interchange(INSTITUTIONAL, version="005010X223A2"))
    said = record.fields
    assert said["created"] == "20230301101530"
    assert (said["statement_start"], said["statement_end"]) == ("20230201", "20230207")
    assert (said["admission"], said["discharge"], said["discharge_status"]) == ("202302010915", None, "01")
    assert said["drg"] == "291"
    assert said["procedures"] == [{"system": "ICD10PCS", "code": "4A023N7", "date": "20230202"}]
    assert [(line["revenue_code"], line["code"], line["quantity"]) for line in said["lines"]] == [
        ("0120", None, "6"),
        ("0300", "80053", "2"),
    ]
    assert sum(Decimal(line["charge"]) for line in said["lines"]) == Decimal(said["total_charge"])


def test_names_and_addresses_are_in_no_field(claims, payments):
    text = repr(claims(interchange(PROFESSIONAL))) + repr(payments(remittance(REMITTANCE)))
    assert not re.search("DOE|JANE|TOM|CLINIC|OTHER", text)


def test_records_fit_their_schemas(claims, payments):
    for records, schema in (
        (claims(interchange(PROFESSIONAL)), x12_837.SCHEMAS["claim"]),
        (payments(remittance(REMITTANCE)), x12_835.SCHEMAS["payment"]),
    ):
        table = pa.Table.from_pylist([record.fields for record in records], schema)
        assert table.to_pylist() == [record.fields for record in records]


@pytest.mark.parametrize("separators", ["*:~\n", "|>! ", "!&\n ", "\x1d\x1f\x1c\r"])
def test_whatever_the_separators_the_claims_are_the_same(claims, separators):
    assert claims(interchange(PROFESSIONAL, separators=separators)) == claims(interchange(PROFESSIONAL))


def test_interchanges_with_separators_of_their_own_lie_in_one_file(claims):
    both = interchange(PROFESSIONAL) + interchange(
        INSTITUTIONAL, version="005010X223A2", number="000000002", separators="|>! "
    )
    assert [record.fields["claim_id"] for record in claims(both)] == ["C1", "C2", "H1"]


@given(size=st.integers(1, 60))
def test_chunks_may_end_anywhere(tmp_path_factory, size):
    path = written(tmp_path_factory.mktemp("chunks"), interchange(PROFESSIONAL))
    whole = list(x12.segments(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(x12, "CHUNK_BYTES", size)
        assert list(x12.segments(path)) == whole


def test_a_broken_claim_leaves_its_neighbours_alone(claims):
    broken = PROFESSIONAL.replace("HI*ABK:E119*ABF:I10", "HI*ABK*ABF:I10")
    assert [record.broken for record in claims(interchange(broken))] == ["broken_diagnosis", None]


def test_a_code_after_the_wrong_separator_is_still_a_code(claims):
    (first, _) = claims(interchange(PROFESSIONAL.replace("HI*ABK:E119*ABF:I10", "HI*ABK*E119*ABF:I10")))
    assert [one["code"] for one in first.fields["diagnoses"]] == ["E119", "I10"]


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (lambda text: text.replace("IEA*1*000000001~", ""), "broken_envelope"),
        (lambda text: text.replace("SE*33*0001", "SE*33*0009"), "broken_envelope"),
        (lambda text: text.replace("GE*1*5~\n", ""), "broken_envelope"),
        (lambda text: text[:-1] + "trailing", "broken_envelope"),
        (lambda text: text[: len(text) // 2], "broken_envelope"),
        (lambda text: text.replace("GS*HC", "HC*GS"), "broken_envelope"),
        (lambda text: text[3:], "broken_envelope"),
        (lambda text: "", "broken_envelope"),
        (lambda text: text.replace("ST*837", "ST*270"), "unknown_transaction"),
        (lambda text: text.replace("005010X222A1", "004010X098A1"), "unknown_transaction"),
    ],
)
def test_a_file_whose_envelopes_are_not_whole_is_one_broken_record(claims, damage, rule):
    (record,) = claims(damage(interchange(PROFESSIONAL)))
    assert (record.broken, record.fields) == (rule, {})


def test_a_terminator_that_never_comes_ends_the_file(claims, monkeypatch):
    monkeypatch.setattr(x12, "LONGEST_SEGMENT", 1000)
    monkeypatch.setattr(x12, "CHUNK_BYTES", 200)
    text = interchange(PROFESSIONAL)
    endless = text[:106] + text[106:].replace("~", "*") + "*" * 100_000
    assert [record.broken for record in claims(endless)] == ["broken_envelope"]


def test_payments_carry_their_adjustments_to_the_cent(payments):
    first, reversal, _ = (record.fields for record in payments(remittance(REMITTANCE)))
    assert (first["payment_date"], first["trace_number"], first["payer_id"]) == ("20230210", "CHK77", "P9")
    assert (first["charge"], first["paid"], first["allowed"]) == ("100.1", "65.5", "85.5")
    assert (first["deductible"], first["coinsurance"], first["copay"]) == ("4", "10", "6")
    assert [(one["group"], one["reason"], one["amount"], one["line"]) for one in first["adjustments"]] == [
        ("CO", "45", "4.6", "1"),
        ("PR", "2", "10", "1"),
        ("CO", "45", "10", "2"),
        ("PR", "1", "4", "2"),
        ("PR", "3", "6", "2"),
    ]
    assert Decimal(first["balance"]) == 0
    assert Decimal(reversal["allowed"]) == -Decimal(first["allowed"])


def test_a_payment_that_lost_an_adjustment_does_not_balance(payments):
    assert [Decimal(record.fields["balance"]) for record in payments(remittance(REMITTANCE))] == [0, 0, 1]


def test_a_dependent_is_the_same_in_claims_and_payments(claims, payments):
    claim = claims(interchange(PROFESSIONAL))[1].fields
    payment = payments(remittance(REMITTANCE))[2].fields
    assert (claim["member_id"], claim["dependent"]) == (payment["member_id"], payment["dependent"])


def test_an_amount_that_is_none_is_told_as_it_stands(payments):
    record = payments(remittance(REMITTANCE.replace("*65.5*20", "*sixty*20")))[0]
    assert (record.fields["paid"], record.fields["balance"]) == ("sixty", None)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["x12_valid", "x12_multiple_gs", "x12_complex"])
def test_real_claims_are_those_that_a_search_of_the_text_finds(real_data, name):
    path = real_data / "claims" / "x12_837" / f"{name}.txt"
    text = path.read_text(encoding="latin-1")
    records = list(x12_837.read(str(path)))
    assert all(record.broken is None for record in records)
    assert [(record.fields["claim_id"], record.fields["total_charge"]) for record in records] == re.findall(
        r"CLM\*([^*]*)\*([^*]*)", text
    )
    lines = Counter((line["code"], line["charge"]) for record in records for line in record.fields["lines"])
    assert lines == Counter(re.findall(r"SV1\*HC:(\w+):25\*([0-9.]+)", text))
    codes = Counter(one["code"] for record in records for one in record.fields["diagnoses"])
    assert codes == Counter(re.findall(r"(?<=[*:])\d{4,5}(?=[*~])", "".join(re.findall(r"HI\*[^\n]*", text))))
