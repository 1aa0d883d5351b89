"""The embedded demo: multilingual phrases from Unicode CLDR and a small checkpoint made from them."""
