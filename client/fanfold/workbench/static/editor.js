// The editor's part of the page: drafts that the browser keeps, the unsaved mark, the keys, and inputs that are sent whole.
window.ff.editor = (() => {
  // What is typed is kept here, by file, with every change: it outlives a reload, a sleeping tab and the server.
  const draft = { key: "", text: null, form: {}, nulls: [], udf: "", inputs: "" };
  let base = "", view = null, unsaved = false, timer = null;
  const place = (key) => "fanfold-draft:" + key;
  const read = (key) => {
    try { return JSON.parse(localStorage.getItem(place(key)) || "null"); } catch { return null; }
  };
  const textNow = () => (view && view.editor ? view.editor.state.doc.toString() : null);
  const keep = () => {
    clearTimeout(timer);
    timer = null;
    if (!draft.key) return;
    const kept = { ...draft };
    try {
      localStorage.setItem(place(draft.key), JSON.stringify(kept));
    } catch {  // more inputs than the browser has room for: the text is kept all the same
      try { localStorage.setItem(place(draft.key), JSON.stringify({ ...kept, inputs: "" })); } catch { /* no room at all */ }
    }
  };
  const keepSoon = () => { if (timer === null) timer = setTimeout(keep, 250); };
  // Only what the viewer types comes here: the text in the editor may still be that of the file before, when a file opens.
  const changed = () => { const text = textNow(); unsaved = text !== base; draft.text = unsaved ? text : null; keepSoon(); };
  const restored = (text) => { draft.text = text; unsaved = true; };
  // The draft of a file that is about to be opened; what was typed into the one before is kept first.
  const leave = (key) => { keep(); return read(key); };
  // A file was opened: `text` is what the disk holds, `digest` names it, so that a draft knows what it was written over.
  const opened = (key, text, digest, udf) => {
    clearTimeout(timer);
    timer = null;
    const kept = read(key) || {};
    Object.assign(draft, { key, text: null, base: digest, form: kept.form || {}, nulls: kept.nulls || [], udf: udf || "", inputs: kept.inputs || "" });
    base = text;
    unsaved = false;
    try { localStorage.setItem("fanfold-last", key); } catch { /* no room: the first file opens next time */ }
  };
  const saved = (text, digest, shown) => {  // `shown`: the text of the disk takes the place of what is in the editor
    const now = shown ? text : textNow();
    base = text;
    unsaved = now !== base;
    Object.assign(draft, { base: digest, text: unsaved ? now : null });
    keep();
  };
  const setForm = (form, nulls, udf) => { draft.form = form; draft.nulls = nulls; draft.udf = udf; keepSoon(); };
  const address = (file, udf, job) => {
    const url = new URL(location.href), kept = job === url.searchParams.get("job") ? url.searchParams : new URLSearchParams();
    const run = kept.get("run");
    url.search = new URLSearchParams({ file, ...(udf ? { udf } : {}), ...(job ? { job } : {}), ...(run ? { run } : {}) });
    history.replaceState(history.state, "", url);
    document.title = file + " · Fanfold";
  };
  const box = () => document.querySelector("[data-inputs]");
  const fillInputs = (given) => {
    const target = box();
    if (given !== undefined) draft.inputs = given;
    if (target && draft.inputs && target.value !== draft.inputs) target.value = draft.inputs;
  };
  document.addEventListener("input", (e) => {
    if (e.target.matches?.("[data-inputs]")) { draft.inputs = e.target.value; keepSoon(); }
  }, true);
  // The inputs go to the server when they are planned, in a request of their own: a socket's message has room for 1 MB.
  const sendInputs = async (path) => {
    const file = document.querySelector("[data-inputs-file]")?.files[0];
    const body = file || new Blob([box()?.value || ""]);
    try {
      const answer = await fetch(path + "?name=" + encodeURIComponent(file ? file.name : ""), { method: "POST", body });
      return answer.ok ? await answer.json() : { error: (await answer.json().catch(() => ({}))).detail || "The server answered " + answer.status + "." };
    } catch {
      return { error: "The inputs could not be sent: the Workbench does not answer." };
    }
  };
  const clearFile = () => { const input = document.querySelector("[data-inputs-file]"); if (input) input.value = ""; };
  // A line of the code: in sight, marked, with the cursor on it.
  const goTo = (number) => {
    if (!view || !view.editor || number < 1) return;
    const doc = view.editor.state.doc;
    const line = doc.line(Math.min(number, doc.lines));
    view.editor.dispatch({ selection: { anchor: line.from, head: line.to }, scrollIntoView: true });
    view.editor.focus();
  };
  // The line that is not Python is underlined, where it is in sight and the browser can do that; 0 for none.
  const mark = (number) => {
    if (!view?.editor || !globalThis.Highlight) return;
    CSS.highlights.delete("ff-mistake");
    const doc = view.editor.state.doc;
    if (number < 1 || number > doc.lines) return;
    const { node } = view.editor.domAtPos(doc.line(number).from);
    const line = (node.nodeType === 1 ? node : node.parentElement)?.closest(".cm-line");
    if (!line) return;
    const range = new Range();
    range.selectNodeContents(line);
    CSS.highlights.set("ff-mistake", new Highlight(range));
  };
  const start = (id) => {
    view = getElement(id);
    addEventListener("pagehide", keep);
    document.addEventListener("visibilitychange", () => { if (document.hidden) keep(); });
    addEventListener("beforeunload", (e) => { keep(); if (unsaved) e.preventDefault(); });
    document.addEventListener("keydown", (e) => {
      const workspace = document.querySelector(".ff-workspace");
      if (!workspace || workspace.contains(e.target)) return;
      if ((e.shiftKey && e.key === "Enter") || isSave(e)) { e.preventDefault(); workspace.dispatchEvent(new KeyboardEvent("keydown", e)); }
    });
    const named = setInterval(() => {  // CodeMirror gives its box no name for those who do not see it
      const content = document.querySelector(".cm-content");
      if (content) { content.setAttribute("aria-label", "Code"); content.tabIndex = 0; clearInterval(named); }
    }, 50);
    return { dark: document.body.classList.contains("body--dark"), last: localStorage.getItem("fanfold-last") || "" };
  };
  const isSave = (e) => (e.ctrlKey || e.metaKey) && !e.shiftKey && e.key.toLowerCase() === "s";
  const key = (e) => {
    if (e.shiftKey && e.key === "Enter") return "run";
    return isSave(e) ? "save" : "";
  };
  return { leave, restored, opened, saved, changed, setForm, address, fillInputs, sendInputs, clearFile, goTo, mark, start, key };
})();
