/* What Streamlit's page lacks for readers of another language, and in a narrow window. The settings
   are put in by browser.py; the script runs again when they change. */
(() => {
  const { lang, words, parts, within, named, narrow } = SETTINGS;

  /* Screen readers speak in the language of the page; Streamlit writes percentages in its tables,
     and what is typed there, as the first of these languages does. */
  document.documentElement.lang = lang;
  Object.defineProperty(navigator, "languages", { configurable: true, get: () => [lang] });

  const state = (window.courtside ??= { texts: new WeakMap() });

  /* Streamlit's own words: only within its own parts, since data may have the same words. */
  const translated = (text) => {
    const bare = text.trim();
    if (bare in words) return text.replace(bare, words[bare]);
    return Object.entries(parts).reduce((left, [from, to]) => left.replace(from, to), text);
  };
  /* what is kept of a text is its English, for another language */
  const english = (node, name, text) => {
    const kept = state.texts.get(node)?.[name];
    return kept?.to === text ? kept.from : text;
  };
  const put = (node, name, text, write) => {
    const from = english(node, name, text);
    const to = translated(from);
    if (to !== from) state.texts.set(node, { ...state.texts.get(node), [name]: { from, to } });
    if (to !== text) write(to);
  };
  const rename = (node) => {
    for (const name of ["aria-label", "title", "placeholder"])
      if (node.hasAttribute(name))
        put(node, name, node.getAttribute(name), (text) => node.setAttribute(name, text));
  };
  const translate = () => {
    document.querySelectorAll(named).forEach(rename);
    for (const part of document.querySelectorAll(within)) {
      const texts = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const node = texts.currentNode;
        put(node, "text", node.nodeValue, (text) => { node.nodeValue = text; });
      }
      [part, ...part.querySelectorAll("[aria-label], [title], [placeholder]")].forEach(rename);
    }
  };
  /* once a frame at most: a chart is thousands of changes */
  let isDue = false;
  state.watcher?.disconnect();
  state.watcher = new MutationObserver(() => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => { isDue = false; translate(); });
  });
  translate();
  state.watcher.observe(document.body, {
    attributeFilter: ["aria-label", "title", "placeholder"],
    characterData: true, childList: true, subtree: true,
  });

  /* A run of the page that somebody asked for is marked until it ends, unlike those by the clock. */
  const root = document.documentElement;
  if (!state.asked) {
    const app = document.querySelector('[data-testid="stApp"]');
    const end = () => {
      if (app.dataset.testScriptState === "notRunning") delete root.dataset.asked;
    };
    state.asked = () => {
      root.dataset.asked = "";
      clearTimeout(state.unasked);
      state.unasked = setTimeout(end, 1000);
    };
    for (const kind of ["click", "change", "keydown"])
      document.addEventListener(kind, state.asked, true);
    new MutationObserver(end).observe(app, { attributeFilter: ["data-test-script-state"] });
  }

  /* Streamlit folds the sidebar below 768 px: beside an open one, a page needs some more. Once it is
     folded, who opens it wants it open; and it opens again with the window. */
  if (state.width) return;
  state.width = matchMedia(`(max-width: ${narrow}px)`);
  const fold = () => {
    const opener = document.querySelector('[data-testid="stExpandSidebarButton"]');
    if (!state.width.matches) {
      if (state.isFolded) opener?.click();
      state.isFolded = false;
      return true;
    }
    const button = document.querySelector('[data-testid="stSidebarCollapseButton"] button');
    button?.click();
    state.isFolded = Boolean(button);
    // it may be folded from the visit before
    return Boolean(button ?? opener);
  };
  state.width.addEventListener("change", fold);
  if (fold()) return;
  const waiting = new MutationObserver(() => { if (fold()) waiting.disconnect(); });
  waiting.observe(document.body, { childList: true, subtree: true });
})();
