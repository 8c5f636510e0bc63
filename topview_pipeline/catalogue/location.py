"""Where the product goes in the template, in manual placement.

Topview takes four points as fractions of the template image from its top left, in the order top
left, top right, bottom right, bottom left; the quad may be rotated.
"""

import json
import math
from typing import cast

from topview_pipeline.catalogue.product import Location, excerpt

_WRITE = "write [[x,y],[x,y],[x,y],[x,y]]"
_SMALLEST_AREA = 1e-6  # of the template; below it nothing of a product can be seen


def parse_location(value: object) -> Location:
    """Four points from JSON text or a JSON value. ValueError says what is wrong."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{excerpt(value)} is not JSON; {_WRITE}") from error
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError(f"{excerpt(value)} is not four points; {_WRITE}")
    points = tuple(_point(number, point) for number, point in enumerate(value, start=1))
    _check_shape(points)
    return points


def _point(number: int, value: object) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"point {number}, {excerpt(value)}, is not [x,y]")
    return _fraction(number, value[0]), _fraction(number, value[1])


def _fraction(number: int, value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= cast(float, value) <= 1:  # false for NaN too
        reason = f"point {number} holds {excerpt(value)}"
        raise ValueError(f"{reason}; coordinates are fractions of the template, 0 to 1")
    return float(cast(float, value))


def _check_shape(points: Location) -> None:
    """Four corners of a convex shape, clockwise on the screen: other orders mirror the product."""
    following = points[1:] + points[:1]
    double_area = math.fsum(x * v - u * y for (x, y), (u, v) in zip(points, following, strict=True))
    if abs(double_area) / 2 < _SMALLEST_AREA:
        raise ValueError("the four points enclose no area")
    if min(_turn(points[i - 2], points[i - 1], points[i]) for i in range(4)) <= 0:
        raise ValueError(
            "the points are not the corners of a quad in the order top left, top right, "
            "bottom right, bottom left"
        )


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Positive when a, b, c turn clockwise on the screen, where y grows downwards."""
    return (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])
