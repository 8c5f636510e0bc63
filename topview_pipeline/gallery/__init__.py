"""The gallery: one HTML file that shows what the pipeline made of every product.

cards.py says what a card shows, photos.py makes small copies of the catalogue's photos, writing.py
writes the page. page/ is what a browser gets. Not here: what a product has (`portfolio`), where a
file is found (`artifacts.addresses`), opening and serving it (`cli`).
"""

from topview_pipeline.gallery.cards import Card, card_of
from topview_pipeline.gallery.photos import FOLDER as PHOTOS
from topview_pipeline.gallery.writing import GALLERY_FILE, SERVED_FILE, render, write_gallery

__all__ = [
    "GALLERY_FILE",
    "PHOTOS",
    "SERVED_FILE",
    "Card",
    "card_of",
    "render",
    "write_gallery",
]
