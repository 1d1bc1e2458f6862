"""Which models began from an encoder that learnt from the person."""

from pyspark.sql import Row

from salus.privacy.erase import Trained, with_heirs


def model(name):
    return Row(model_name=name, model_version="2", package_hash=f"package of {name}")


ENCODER, CLEAN, HEIR, BOTH, OTHER, PLAIN = map(model, ("encoder", "clean", "heir", "both", "other", "plain"))
LEARNT = {ENCODER: ("train",), CLEAN: (), HEIR: (), BOTH: ("train", "tuning"), OTHER: (), PLAIN: ("train",)}
BEGAN = {
    ENCODER: None,
    CLEAN: None,
    HEIR: "package of encoder",
    BOTH: "package of encoder",
    OTHER: "package of clean",
    PLAIN: None,
}


def test_an_heir_has_what_its_encoder_learnt_and_says_by_which():
    assert with_heirs(LEARNT, BEGAN) == {
        ENCODER: ("train",),
        CLEAN: (),
        HEIR: ("by its encoder encoder 2",),
        BOTH: ("train", "tuning", "by its encoder encoder 2"),
        OTHER: (),
        PLAIN: ("train",),
    }
    assert str(Trained("heir", "2", ("by its encoder encoder 2",))) == "heir 2 (by its encoder encoder 2)"
