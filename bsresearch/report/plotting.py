"""Drawing, and the only matplotlib import: the style, maps of colours, files.

No global state: the style is that of `styled`, and figures are never shown on a screen.
"""

import contextlib
import pathlib
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib
import matplotlib.colors
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    StrMethodFormatter,
)  # fmt: skip
from PIL import Image

from bsresearch.store import paths

__all__ = [
    'Axes', 'Axis', 'EngFormatter', 'Figure', 'FixedLocator', 'Line2D', 'LogLocator', 'MaxNLocator', 'NullFormatter',
    'NullLocator', 'StrMethodFormatter',
]  # fmt: skip

LineStyle = Literal['-', '--', ':', '-.']
DPI = 200  # of a PNG, which a report holds too; what is printed is the PDF
TEXT, SMALL = 7.5, 6.5  # points: all text; the notes above the panels
STYLE: Any = {
    'font.size': TEXT,
    'axes.titlesize': TEXT,
    'figure.titlesize': SMALL,
    'legend.frameon': False,
    'legend.handlelength': 1.6,
    'legend.columnspacing': 1.2,
    'axes.linewidth': 0.6,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.linewidth': 0.3,
    'grid.color': '0.85',
    'xtick.major.width': 0.6,
    'ytick.major.width': 0.6,
    'xtick.minor.width': 0.4,
    'ytick.minor.width': 0.4,
    'lines.linewidth': 1.1,
    'lines.markersize': 4.5,
    'pdf.fonttype': 42,  # text stays text
}


def styled() -> contextlib.AbstractContextManager[None]:
    """Inside, figures are made and drawn in the style."""
    return matplotlib.rc_context(STYLE)


def palette(batch_sizes: Sequence[int]) -> dict[int, str]:
    """A colour per batch size, '#rrggbb' from dark (small) to light, even in log₂ B."""
    sizes = sorted({int(b) for b in batch_sizes})
    place = np.log2(sizes) - np.log2(sizes[0])
    # The end of the map is too pale on white.
    place = 0.88 * place / place[-1] if len(sizes) > 1 else place
    return dict(zip(sizes, along('viridis', place.tolist()), strict=True))


def along(name: str, places: Sequence[float]) -> list[str]:
    """'#rrggbb' at places, 0 to 1, of a map of matplotlib's."""
    return [matplotlib.colors.to_hex(matplotlib.colormaps[name](float(p))) for p in places]


def shades(name: str, low: float, high: float) -> Any:
    """A part of a map of matplotlib's, as a map."""
    return matplotlib.colors.LinearSegmentedColormap.from_list(name, along(name, list(np.linspace(low, high, 64))))


def rounded(corner: tuple[float, float], width: float, height: float, style: LineStyle) -> FancyBboxPatch:
    """A black ring around a cell of a grid."""
    shape = 'round,pad=0,rounding_size=0.15'
    return FancyBboxPatch(corner, width, height, shape, fill=False, linewidth=1.1, linestyle=style, zorder=4)


def render(fig: Figure, stem: pathlib.Path) -> list[pathlib.Path]:
    """Writes `<stem>.pdf` and `.png`, each whole; equal figures give equal bytes.

    Each is drawn once by its own canvas: `savefig` draws twice, and lays out again for each file.

    Returns:
      both, and `<stem>.csv`, where the caller puts the plotted numbers.
    """
    pdf, png, csv = (stem.with_name(f'{stem.name}.{suffix}') for suffix in ('pdf', 'png', 'csv'))
    with styled():
        fig.set_dpi(DPI)
        canvas = FigureCanvasAgg(fig)
        layout = fig.get_layout_engine()
        assert layout is not None
        layout.execute(fig)
        fig.set_layout_engine('none')
        canvas.draw()
        # 256 colours are what lines and text have but for the finest shades, and a third of the size.
        pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
        few = pixels.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        with paths.replacing(png) as file:
            few.save(file, 'png', optimize=True)
        with paths.replacing(pdf) as file:
            FigureCanvasPdf(fig).print_pdf(file, metadata={'CreationDate': None})
    return [pdf, png, csv]
