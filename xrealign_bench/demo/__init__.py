"""Embedded demo: multilingual phrases generated from Unicode CLDR, and a small checkpoint pre-trained on them."""
