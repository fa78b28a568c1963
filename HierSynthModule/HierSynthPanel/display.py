"""Shows results: colours and windows of the maps, layers and layout of the views."""

import qt

from HierSynthPanel import layers, layouts, volume_rendering
from HierSynthPanel.map_style import apply_styles
from HierSynthPanel.parameters import HierSynthParameters


def show_result(parameters: HierSynthParameters) -> None:
    """Show a new result: in the chosen layout, or in the user's own one if the user has gone back to that."""
    if layouts.was_left():
        show_overlay(parameters)
    else:
        show_layout(parameters)


def show_overlay(parameters: HierSynthParameters, second: bool = False) -> None:
    """Lay the map over the reference in the views that there are.

    Args:
        parameters: the panel's.
        second: show the other map of the flicker.
    """
    apply_styles(parameters)
    layouts.fit(layers.fill(parameters, second))


def show_layout(parameters: HierSynthParameters, second: bool = False) -> None:
    """Show the maps in the chosen layout, at the place where the user looks now.

    Args:
        parameters: the panel's.
        second: show the other map of the flicker.
    """
    layout, compared, places = layouts.current(), layouts.is_comparing(), layouts.places(parameters)
    apply_styles(parameters)
    layouts.choose(parameters)
    fitted = layers.fill(parameters, second)
    if layouts.current() != layout:
        # The views have other sizes now.
        fitted = [*fitted, *places]
    if parameters.layout == "volume":
        volume_rendering.show(parameters)
    else:
        volume_rendering.hide()

    layouts.fit(fitted)
    layouts.go_to(layouts.carried(places, compared, parameters.orientation))
    # Views get their sizes a moment after they were made or moved.
    qt.QTimer.singleShot(0, lambda: _fit_again(fitted, parameters))


def _fit_again(names: list[str], parameters: HierSynthParameters) -> None:
    places = layouts.places(parameters)
    layouts.fit(names)
    layouts.go_to(places)


def restyle(parameters: HierSynthParameters) -> None:
    """Take over changed colours, window or threshold."""
    apply_styles(parameters)
    volume_rendering.update(parameters)
