"""Courtside: the life cycle of a classifier in the browser. Start with `streamlit run app.py`."""

import streamlit as st

st.set_page_config(page_title="Courtside", page_icon=":material/sports_basketball:", layout="wide")

st.navigation(
    [
        st.Page("pages/overview.py", title="Overview", icon=":material/home:", default=True),
        st.Page("pages/prepare.py", title="Prepare", icon=":material/filter_alt:"),
        st.Page("pages/train.py", title="Train", icon=":material/model_training:"),
        st.Page("pages/serve.py", title="Serve", icon=":material/dns:"),
        st.Page("pages/score.py", title="Score", icon=":material/target:"),
        st.Page("pages/monitor.py", title="Monitor", icon=":material/monitor_heart:"),
        st.Page("pages/runs.py", title="Runs", icon=":material/history:"),
    ]
).run()
