"""Courtside: the life cycle of a classifier in the browser. Start with `streamlit run app.py`."""

from pages import _parts
from pages._bilingual import st

st.set_page_config(page_title="Courtside", page_icon="🏀", layout="wide")

_parts.navigation().run()
