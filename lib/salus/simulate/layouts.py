"""The headers of the insurer's and the device platform's files, column for column.

Tuva input layer: https://thetuvaproject.com/connectors/input-layer . The wearable's are those of Fitabase's exports.
"""

import pyarrow as pa

from salus.simulate.text import joined


def _numbered(name: str) -> str:
    return ",".join(f"{name}_{n}" for n in range(1, 26))


ELIGIBILITY = (
    "person_id,member_id,subscriber_id,gender,race,birth_date,death_date,death_flag,enrollment_start_date,"
    "enrollment_end_date,payer,payer_type,plan,original_reason_entitlement_code,dual_status_code,"
    "medicare_status_code,group_id,group_name,name_suffix,first_name,middle_name,last_name,"
    "social_security_number,subscriber_relation,address,city,state,zip_code,phone,email,ethnicity,data_source,"
    "file_name,file_date,ingest_datetime,enrollment_status,hospice_flag,snp_type,medicaid_indicator,"
    "long_term_institutional_flag,part_d_raf_type,low_income_subsidy_indicator,metal_level,csr_indicator,"
    "enrollment_duration_months,esrd_status,transplant_duration_months"
)
MEDICAL = (
    "claim_id,claim_line_number,claim_type,person_id,member_id,payer,plan,claim_start_date,claim_end_date,"
    "claim_line_start_date,claim_line_end_date,admission_date,discharge_date,admit_source_code,admit_type_code,"
    "discharge_disposition_code,place_of_service_code,bill_type_code,drg_code_type,drg_code,revenue_center_code,"
    "service_unit_quantity,hcpcs_code,hcpcs_modifier_1,hcpcs_modifier_2,hcpcs_modifier_3,hcpcs_modifier_4,"
    "hcpcs_modifier_5,rendering_npi,rendering_tin,billing_npi,billing_tin,facility_npi,paid_date,paid_amount,"
    "allowed_amount,charge_amount,coinsurance_amount,copayment_amount,deductible_amount,total_cost_amount,"
    "diagnosis_code_type,"
    f"{_numbered('diagnosis_code')},{_numbered('diagnosis_poa')},procedure_code_type,"
    f"{_numbered('procedure_code')},{_numbered('procedure_date')},in_network_flag,data_source,file_name,file_date,"
    "ingest_datetime"
)
PHARMACY = (
    "claim_id,claim_line_number,person_id,member_id,payer,plan,prescribing_provider_npi,dispensing_provider_npi,"
    "dispensing_date,ndc_code,quantity,days_supply,refills,paid_date,paid_amount,allowed_amount,charge_amount,"
    "coinsurance_amount,copayment_amount,deductible_amount,in_network_flag,data_source,file_name,file_date,"
    "ingest_datetime"
)
ACTIVITY = (
    "Id,ActivityDate,TotalSteps,TotalDistance,TrackerDistance,LoggedActivitiesDistance,VeryActiveDistance,"
    "ModeratelyActiveDistance,LightActiveDistance,SedentaryActiveDistance,VeryActiveMinutes,FairlyActiveMinutes,"
    "LightlyActiveMinutes,SedentaryMinutes,Calories"
)
SLEEP = "Id,SleepDay,TotalSleepRecords,TotalMinutesAsleep,TotalTimeInBed"
WEIGHT = "Id,Date,WeightKg,WeightPounds,Fat,BMI,IsManualReport,LogId"


def csv_lines(header: str, values: dict[str, pa.Array | str]) -> pa.Array:
    """CSV lines in the order of the ``header``; a column without a value is empty."""
    columns = header.split(",")
    if unknown := set(values) - set(columns):
        raise ValueError(f"Received the columns {sorted(unknown)}; expected names of the layout. Mend the name.")
    pieces: list[pa.Array | str] = []
    for n, column in enumerate(columns):
        for piece in (values.get(column, ""), "\n" if n == len(columns) - 1 else ","):
            # Constants in a row become one piece: most columns of a layout are empty.
            if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
                pieces[-1] += piece
            else:
                pieces.append(piece)
    return joined(*pieces)
