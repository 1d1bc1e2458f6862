"""Suspicion: an AUROC that is too good to be true is reported as a suspected leak, before anybody is proud of it.

How much can be known of an outcome is often known: models of readmission reach C-statistics of 0.55 to 0.65, few more
than 0.70 (Kansagara et al., JAMA 2011;306:1688). A task states such a bound (``suspect_above``); it is kept beside the
figures, under ``model`` in tables ``evaluations`` and ``folds``, so that whoever reads them knows what they were held
against.
"""

from collections.abc import Mapping

BOUND = "suspect_above"
"""The metric that holds the task's bound."""


def suspicion(aurocs: Mapping[str, float | None], above: float | None) -> str | None:
    """What is said of AUROCs above the bound; None where there is no bound, or none is above it.

    Args:
        aurocs: name of a model to its AUROC on people held out.
        above: the task's ``suspect_above``.
    """
    if above is None:
        return None
    found = [f"{name.replace('_', ' ')} {auroc:.3f}" for name, auroc in aurocs.items() if (auroc or 0) > above]
    if not found:
        return None
    return (
        f"suspected leak: AUROC above {above:.2f} ({', '.join(found)}), more than the task says can be known; look for "
        "inputs that tell of the label, or that were not there at the prediction"
    )
