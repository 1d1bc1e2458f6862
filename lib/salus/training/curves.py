"""Learning curves: the figure of a training that its run keeps, a page that fetches nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

CURVES = {"loss": "training", "tuning_loss": "tuning"}
"""What is drawn over the epochs, and what it is called."""


def learning_curves(name: str, history: Sequence[Mapping[str, Any]]) -> str:
    """The losses of each epoch of ``history``, the best epoch marked, as HTML.

    Args:
        name: of the network, above the figure.
        history: a mapping an epoch, with ``epoch`` and those of ``CURVES`` that it has.
    """
    import plotly.graph_objects as go

    figure = go.Figure(layout={"title": name, "template": "plotly_white", "height": 440})
    for metric, title in CURVES.items():
        epochs = [epoch for epoch in history if metric in epoch]
        at = [epoch["epoch"] for epoch in epochs]
        figure.add_scatter(x=at, y=[epoch[metric] for epoch in epochs], mode="lines+markers", name=title)
    best = min(history, key=lambda epoch: epoch["tuning_loss"])
    figure.add_vline(x=best["epoch"], line={"dash": "dot"}, annotation_text="kept")
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title="loss")
    return figure.to_html(include_plotlyjs=True)
