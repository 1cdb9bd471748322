"""Courtside: the life cycle of a classifier in the browser. Start with `streamlit run app.py`.

Streamlit imports this file once, to serve the app, and runs it for every visit, to draw a page.
"""

if __name__ == "__main__":
    import streamlit as st

    from core.platform import messages
    from pages.shared import language, navigation, project_choice

    # the list of pages is drawn before the page is
    messages.ask(language.chosen)
    title, icon = project_choice.page_title()
    st.set_page_config(page_title=title, page_icon=icon, layout="wide")

    navigation.requested_page().run()
else:
    from starlette.middleware import Middleware
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.starlette import App

    from pages.shared import access, lifespan

    # otherwise Streamlit uses the files of pages/ as the app's pages until `navigation` has run,
    # and the first visit by a link would miss its page
    PagesManager.uses_pages_directory = False

    app = App(__file__, lifespan=lifespan.around, middleware=[Middleware(access.Door)])
