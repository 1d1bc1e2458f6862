"""The device platform's extract: daily activity, sleep and weight in Fitabase's column layout."""

import numpy as np
import pyarrow as pa

from salus.simulate.clock import AM_PM, Clock
from salus.simulate.course import Course
from salus.simulate.devices import Wearing
from salus.simulate.layouts import ACTIVITY, SLEEP, WEIGHT, csv_lines
from salus.simulate.names import wearable_id
from salus.simulate.text import digits, fixed, joined

KM_A_STEP = 0.00072
POUNDS_A_KG = 2.20462262


def activity_lines(clock: Clock, course: Course, worn: Wearing) -> pa.Array:
    """One CSV line a day worn."""
    distance = worn.steps * KM_A_STEP
    kilometres = fixed(distance, 2)
    return csv_lines(
        ACTIVITY,
        {
            "Id": wearable_id(course.people.number[worn.row]),
            "ActivityDate": clock.american_dates(worn.day),
            "TotalSteps": digits(worn.steps),
            "TotalDistance": kilometres,
            "TrackerDistance": kilometres,
            "LoggedActivitiesDistance": "0",
            "VeryActiveDistance": fixed(distance * 0.2, 2),
            "ModeratelyActiveDistance": fixed(distance * 0.1, 2),
            "LightActiveDistance": fixed(distance * 0.7, 2),
            "SedentaryActiveDistance": "0",
            "VeryActiveMinutes": digits(worn.active[:, 0]),
            "FairlyActiveMinutes": digits(worn.active[:, 1]),
            "LightlyActiveMinutes": digits(worn.active[:, 2]),
            "SedentaryMinutes": digits(worn.sedentary),
            "Calories": digits(1500 + worn.steps // 20),
        },
    )


def sleep_lines(clock: Clock, course: Course, worn: Wearing) -> pa.Array:
    """One CSV line a night recorded."""
    worn = worn.take(np.flatnonzero(worn.asleep > 0))
    return csv_lines(
        SLEEP,
        {
            "Id": wearable_id(course.people.number[worn.row]),
            "SleepDay": joined(clock.american_dates(worn.day), " 12:00:00 AM"),
            "TotalSleepRecords": "1",
            "TotalMinutesAsleep": digits(worn.asleep),
            "TotalTimeInBed": digits(worn.asleep + 14 + worn.steps % 40),
        },
    )


def weight_lines(clock: Clock, course: Course, worn: Wearing) -> pa.Array:
    """One CSV line a weighing."""
    worn = worn.take(np.flatnonzero(~np.isnan(worn.kg)))
    minute = 360 + worn.steps % 240
    stature = np.where(course.people.female[worn.row], 1.63, 1.76)
    return csv_lines(
        WEIGHT,
        {
            "Id": wearable_id(course.people.number[worn.row]),
            "Date": joined(clock.american_dates(worn.day), AM_PM.take(pa.array(minute))),
            "WeightKg": fixed(worn.kg, 2),
            "WeightPounds": fixed(worn.kg * POUNDS_A_KG, 2),
            "BMI": fixed(worn.kg / stature**2, 2),
            "IsManualReport": "FALSE",
            "LogId": digits(1_460_000_000_000 + worn.day * 86_400_000 + minute * 60_000),
        },
    )
