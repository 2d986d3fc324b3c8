"""The pictures, a file a subject. Functions return a matplotlib Figure; `save` writes one.

Nothing here knows how the data was made: the functions take arrays, numbers and small objects.
"""

from matplotlib.figure import Figure

from nin_gluon.plots.atlas import draw_atlas
from nin_gluon.plots.class_maps import draw_class_maps
from nin_gluon.plots.comparisons import draw_comparisons
from nin_gluon.plots.curves import draw_curves
from nin_gluon.plots.evaluation import draw_evaluation
from nin_gluon.plots.images import draw_image, show_fashion_mnist
from nin_gluon.plots.odds import draw_odds
from nin_gluon.plots.own_pictures import OwnPicture, draw_own_pictures
from nin_gluon.plots.predictions import draw_predictions
from nin_gluon.plots.resources import draw_resources
from nin_gluon.plots.run_curves import draw_run_curves
from nin_gluon.plots.runs import draw_band, draw_runs
from nin_gluon.plots.style import LN_10, png, save

__all__ = ["LN_10", "Figure", "OwnPicture", "draw_atlas", "draw_band", "draw_class_maps",
           "draw_comparisons", "draw_curves", "draw_evaluation", "draw_image", "draw_odds",
           "draw_own_pictures", "draw_predictions", "draw_resources", "draw_run_curves",
           "draw_runs", "png", "save", "show_fashion_mnist"]
