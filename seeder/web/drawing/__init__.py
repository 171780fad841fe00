"""Pictures as SVG: what is where. Templates write them down; colours are the style sheets'."""
