"""Charts as SVG: computes positions and sizes. Templates write the elements, style sheets set the colours."""
