"""Courtside: the life cycle of a classifier in the browser. Start with `streamlit run app.py`."""

import streamlit as st

from pages import _parts

st.set_page_config(page_title="Courtside", page_icon="🏀", layout="wide")

_parts.navigation().run()
