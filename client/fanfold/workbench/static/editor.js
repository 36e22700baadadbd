// The editor's part of the page: drafts that the browser keeps, the unsaved mark, the keys, and inputs that are sent whole.
window.ff.editor = (() => {
  // What is typed is kept here, by file and tab, with every change: it outlives a reload, a sleeping tab, the server and
  // the browser. localStorage takes it at once, also as the page is left, but a browser that is killed has not written
  // the last seconds of it; IndexedDB has, and has room for long inputs.
  const draft = { key: "", text: null, form: {}, nulls: [], udf: "", inputs: "" };
  const prefix = "fanfold-draft:";
  let base = "", view = null, unsaved = false, timer = null, found = {}, opening = null;
  const database = () => (opening ||= new Promise((resolve) => {
    try {
      const asked = indexedDB.open("fanfold", 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore("drafts");
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => resolve(null);
    } catch { resolve(null); }
  }));
  const stored = (act) => database().then((db) => new Promise((resolve) => {
    if (!db) { resolve(null); return; }
    try {
      const work = db.transaction("drafts", "readwrite", { durability: "strict" }), done = act(work.objectStore("drafts"));
      work.oncomplete = () => resolve(done ? done.result : null);
      work.onerror = work.onabort = () => resolve(null);
    } catch { opening = null; resolve(null); }
  }));
  // Two tabs may have the same file open: each has a draft of its own. Its name outlives a reload; a tab that was made as
  // a copy of another has the other's name, and takes a new one where that is in use.
  const newName = () => Math.random().toString(36).slice(2, 10);
  const held = (name, signal) => new Promise((resolve, reject) => {
    navigator.locks.request("fanfold-tab:" + name, signal ? { signal } : {}, () => { resolve(name); return new Promise(() => {}); }).catch(reject);
  });
  const naming = (async () => {
    const name = sessionStorage.getItem("fanfold-tab") || newName();
    if (!navigator.locks) return name;
    return held(name, AbortSignal.timeout(800)).catch(() => held(newName()));
  })();
  let tab = sessionStorage.getItem("fanfold-tab") || "";
  naming.then((name) => { tab = name; sessionStorage.setItem("fanfold-tab", name); });
  const put = (id, kept) => {
    try { localStorage.setItem(prefix + id, JSON.stringify(kept)); } catch {  // more inputs than there is room for: IndexedDB has it
      try { localStorage.setItem(prefix + id, JSON.stringify({ ...kept, inputs: "" })); } catch { /* no room at all */ }
    }
    stored((drafts) => drafts.put(kept, id));
  };
  const drop = (id) => { localStorage.removeItem(prefix + id); stored((drafts) => drafts.delete(id)); };
  // All drafts of a file by their id; of the two copies of one the later.
  const draftsOf = async (key) => {
    const all = new Map();
    const add = (id, kept) => { if (kept && !((all.get(id)?.at || 0) > (kept.at || 0))) all.set(id, kept); };
    for (const name of Object.keys(localStorage)) {
      const id = name.slice(prefix.length);
      if (!name.startsWith(prefix) || (id !== key && !id.startsWith(key + "#"))) continue;
      try { add(id, JSON.parse(localStorage.getItem(name))); } catch { /* not one of ours */ }
    }
    const range = IDBKeyRange.bound(key + "#", key + "#\uffff");
    const ids = (await stored((drafts) => drafts.getAllKeys(range))) || [], values = (await stored((drafts) => drafts.getAll(range))) || [];
    ids.forEach((id, place) => add(id, values[place]));
    return all;
  };
  // The draft of this tab; else the latest of a tab that is gone, which becomes this tab's. Form and inputs are taken from
  // any, the text of a tab that is still open is not.
  const read = async (key) => {
    await naming;
    const all = await draftsOf(key), own = all.get(key + "#" + tab);
    if (own) return own;
    const open = navigator.locks ? (await navigator.locks.query()).held.map((lock) => lock.name) : [];
    const others = [...all].map(([id, kept]) => ({ id, kept, isOpen: open.includes("fanfold-tab:" + id.slice(key.length + 1)) }));
    others.sort((one, other) => (other.kept.at || 0) - (one.kept.at || 0));
    const left = others.find((one) => !one.isOpen && one.kept.text != null);
    const latest = left || others[0];
    if (!latest) return {};
    const taken = { ...latest.kept, text: left ? left.kept.text : null, key, at: Date.now() };
    put(key + "#" + tab, taken);
    for (const one of others) if (!one.isOpen && (one === left || one.kept.text == null)) drop(one.id);
    return { ...taken, elsewhere: others.some((one) => one.isOpen && one.kept.text != null) };
  };
  const textNow = () => (view && view.editor ? view.editor.state.doc.toString() : null);
  const keep = () => {
    clearTimeout(timer);
    timer = null;
    if (draft.key && tab) put(draft.key + "#" + tab, { ...draft, at: Date.now() });
  };
  const keepSoon = () => { if (timer === null) timer = setTimeout(keep, 250); };
  // Only what the viewer types comes here: the text in the editor may still be that of the file before, when a file opens.
  const changed = () => { const text = textNow(); unsaved = text !== base; draft.text = unsaved ? text : null; keepSoon(); };
  const restored = (text) => { draft.text = text; unsaved = true; };
  // The draft of a file that is about to be opened; what was typed into the one before is kept first.
  const leave = async (key) => { keep(); found = { key, draft: await read(key) }; return found.draft; };
  // A file was opened: `text` is what the disk holds, `digest` names it, so that a draft knows what it was written over.
  const opened = (key, text, digest, udf) => {
    clearTimeout(timer);
    timer = null;
    const kept = found.key === key ? found.draft : {};
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
  const goTo = (number, atEnd) => {
    if (!view || !view.editor || number < 1) return;
    const doc = view.editor.state.doc;
    const line = doc.line(Math.min(number, doc.lines));
    // Selected, it is seen; where it is to be typed into, the first key must not take its place.
    view.editor.dispatch({ selection: { anchor: atEnd ? line.to : line.from, head: line.to }, scrollIntoView: true });
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
      if (content) { content.setAttribute("aria-label", "Code"); content.setAttribute("aria-description", "Escape, then Tab leaves the editor"); content.tabIndex = 0; clearInterval(named); }
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
