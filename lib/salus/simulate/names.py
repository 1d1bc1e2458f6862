"""Identifiers, names and addresses of people who do not exist, so that privacy has something to protect."""

import numpy as np
import pyarrow as pa

from salus.simulate.people import SITES, People
from salus.simulate.text import digits, given, joined, picked

PRIME = 2_147_483_647  # multiplying modulo a prime keeps numbers apart and takes their order away
FAMILY = (
    "Abara",
    "Bellweather",
    "Castellan",
    "Dunmore",
    "Eastvold",
    "Fairweather",
    "Greywick",
    "Holloway",
    "Ibsen",
    "Jarrow",
    "Kestrel",
    "Lindqvist",
    "Marlowe",
    "Nakagawa",
    "Okonedo",
    "Pemberton",
    "Quillfeather",
    "Ravenna",
    "Stonebridge",
    "Thistlewood",
    "Underhill",
    "Vasquez",
    "Wintergreen",
    "Yarborough",
    "Zelenka",
)
GIVEN = (
    ("Aaron", "Bruno", "Cedric", "Darius", "Emil", "Felix", "Gustav", "Hector", "Ivan", "Jonas", "Kofi", "Luis"),
    ("Ada", "Beatrix", "Clara", "Dalia", "Edith", "Fiona", "Greta", "Hazel", "Ines", "June", "Keiko", "Lena"),
)
STREETS = ("Alder Lane", "Birch Street", "Canal Road", "Dove Court", "Elm Avenue", "Foundry Row", "Garden Way")
CITIES = (
    ("Westmere", "Ohio", "OH", "440"),
    ("Port Ansel", "Oregon", "OR", "971"),
    ("Harrow Falls", "Iowa", "IA", "508"),
    ("Saltbrook", "Maine", "ME", "041"),
    ("Three Oaks", "Texas", "TX", "787"),
)
MRN_SYSTEM = "urn:oid:2.16.840.1.113883.19.5."


def scattered(number: np.ndarray, factor: int) -> np.ndarray:
    """Numbers below PRIME, one to one, without their order."""
    return (number.astype(np.int64) + 1) * factor % PRIME


def ehr_id(number: np.ndarray) -> pa.Array:
    """Logical id of the FHIR Patient."""
    return joined("pt-", digits(number))


def mrn(number: np.ndarray) -> pa.Array:
    """Medical record number."""
    return joined("MRN", digits(scattered(number, 48_271)))


def member_id(number: np.ndarray) -> pa.Array:
    """The insurer's member id."""
    return joined("M", digits(scattered(number, 69_621)))


def wearable_id(number: np.ndarray) -> pa.Array:
    """The device platform's id, ten digits."""
    return digits(1_000_000_000 + scattered(number, 39_373))


def name_columns(people: People) -> dict[str, pa.Array]:
    """Given and family name, street, city, state, postal code, phone and email: text columns over people."""
    number = people.number
    place = scattered(number, 16_807)
    city = place % len(CITIES)
    first = given(
        people.female,
        picked(list(GIVEN[1]), place // 7 % len(GIVEN[1])),
        picked(list(GIVEN[0]), place // 7 % len(GIVEN[0])),
    )
    family = picked(list(FAMILY), place // 91 % len(FAMILY))
    return {
        "first": first,
        "family": family,
        "street": joined(digits(1 + place // 13 % 980), " ", picked(list(STREETS), place // 3 % len(STREETS))),
        "city": picked([c[0] for c in CITIES], city),
        "state": picked([c[1] for c in CITIES], city),
        "state_code": picked([c[2] for c in CITIES], city),
        "zip": joined(picked([c[3] for c in CITIES], city), digits(10 + place // 17 % 90)),
        "phone": joined("555-01", digits(10 + place // 19 % 90)),
        "email": joined(first, ".", family, digits(number), "@example.org"),
    }


def mrn_system(people: People) -> pa.Array:
    """The identifier system of each person's care site."""
    return picked([f"{MRN_SYSTEM}{n + 1}" for n in range(len(SITES))], people.site)
