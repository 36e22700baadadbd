// The editor's part of the page: drafts that the browser keeps, the unsaved mark, the keys, and inputs that are sent whole.
window.ff.editor = (() => {
  // What is typed is kept here, by file and tab, with every change: it outlives a reload, a sleeping tab, the server and
  // the browser. localStorage takes it at once, also as the page is left, but a browser that is killed has not written
  // the last seconds of it; IndexedDB has, and has room for long inputs.
  // Both are for the address of the page: a moment after, the server is given it as well, for a page on another port.
  const draft = { key: "", text: null, form: {}, nulls: [], udf: "", inputs: "" };
  const prefix = "fanfold-draft:", ofServer = "/workbench/drafts", longest = 5000, onServer = new Set();
  let base = "", view = null, unsaved = false, timer = null, coming = {}, opening = null, sending = null, due = 0;
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
  const ask = (way, path, query, more) => fetch(ofServer + path + "?" + new URLSearchParams(query), { method: way, ...more });
  const forget = (id) => { if (onServer.delete(id)) ask("DELETE", "", { id }, { keepalive: true }).catch(() => {}); };
  const drop = (id) => { localStorage.removeItem(prefix + id); stored((drafts) => drafts.delete(id)); forget(id); };
  // The server drops a draft in which nothing was typed. Inputs may be longer than it takes, and a request that outlives
  // its page has room for 64 KB.
  const post = async (id, kept, leaving) => {
    if (kept.text == null && !kept.inputs && !kept.nulls.length && !Object.keys(kept.form).length) return forget(id);
    const query = { id, at: kept.at, base: kept.text == null ? "" : kept.base || "" };
    const given = (one) => { const body = new Blob([JSON.stringify(one)]); return { body, keepalive: !!leaving && body.size < 60000 }; };
    onServer.add(id);
    try {
      const answer = await ask("POST", "", query, given(kept));
      if (answer.status === 413) await ask("POST", "", query, given({ ...kept, inputs: "" }));
    } catch { /* it does not answer: the browser has it, and the next change brings it */ }
  };
  // What was typed into the form and chosen there, the last of which the server may not have heard of yet.
  const typedNow = () => {
    const form = { ...draft.form }, nulls = new Set(draft.nulls);
    for (const one of document.querySelectorAll("[data-param]")) {
      const name = one.dataset.param.replace(/^\d+\./, ""), none = one.closest("[data-field]")?.querySelector("[type=checkbox]");
      if (one.ffTyped === draft.key) { if (one.value) form[name] = one.value; else delete form[name]; }
      if (none?.ffTyped === draft.key) nulls[none.checked ? "add" : "delete"](name);
    }
    return { ...draft, form, nulls: [...nulls].sort(), at: Date.now() };
  };
  const send = (leaving) => {
    clearTimeout(sending);
    sending = null;
    due = 0;
    if (draft.key && tab) post(draft.key + "#" + tab, typedNow(), leaving);
  };
  const sendSoon = () => {
    due ||= Date.now() + longest;
    clearTimeout(sending);
    const quiet = draft.inputs.length > 100000 ? 1500 : 300;
    sending = setTimeout(send, Math.max(0, Math.min(quiet, due - Date.now())), false);
  };
  const found = async (path, query) => {
    try {
      const answer = await ask("GET", path, query), drafts = answer.ok ? await answer.json() : [];
      for (const { id } of drafts) onServer.add(id);
      return drafts;
    } catch { return []; }
  };
  // All drafts of a file, or of a folder's files, by their id; of the copies of one the latest.
  const later = (all, id, kept) => { if (kept && !((all.get(id)?.at || 0) > (kept.at || 0))) all.set(id, kept); };
  const draftsOf = async (key) => {
    const all = new Map(), add = (id, kept) => later(all, id, kept);
    for (const name of Object.keys(localStorage)) {
      const id = name.slice(prefix.length);
      if (!name.startsWith(prefix) || (id !== key && !id.startsWith(key + (key.endsWith("/") ? "" : "#")))) continue;
      try { add(id, JSON.parse(localStorage.getItem(name))); } catch { /* not one of ours */ }
    }
    const begin = key.endsWith("/") ? key : key + "#", range = IDBKeyRange.bound(begin, begin + "\uffff");
    const ids = (await stored((drafts) => drafts.getAllKeys(range))) || [], values = (await stored((drafts) => drafts.getAll(range))) || [];
    ids.forEach((id, place) => add(id, values[place]));
    return all;
  };
  // The draft of this tab; else the latest of a tab that is gone, which becomes this tab's. Form and inputs are taken from
  // any, the text of a tab that is still open is not.
  const read = async (key, digest, folder, files) => {
    await naming;
    const all = await draftsOf(key), there = await found("", { key, tab, page: window.clientId || "" });
    for (const { id, kept } of there) later(all, id, kept);
    const own = all.get(key + "#" + tab);
    if (own) return own;
    const held = navigator.locks ? (await navigator.locks.query()).held.map((lock) => lock.name) : [];
    const open = [...held, ...there.filter((one) => one.open).map((one) => "fanfold-tab:" + one.id.slice(key.length + 1))];
    const others = [...all].map(([id, kept]) => ({ id, kept, isOpen: open.includes("fanfold-tab:" + id.slice(key.length + 1)) }));
    others.sort((one, other) => (other.kept.at || 0) - (one.kept.at || 0));
    const left = others.find((one) => !one.isOpen && one.kept.text != null);
    const latest = left || others[0];
    if (!latest) return moved(key, digest, folder, files);
    const taken = { ...latest.kept, text: left ? left.kept.text : null, key, at: Date.now() };
    put(key + "#" + tab, taken);
    await post(key + "#" + tab, taken);
    for (const one of others) if (!one.isOpen && (one === left || one.kept.text == null)) drop(one.id);
    return { ...taken, elsewhere: others.some((one) => one.isOpen && one.kept.text != null) };
  };
  const isKept = async (key) => [...await draftsOf(key)].some(([id, kept]) => kept.text != null && id.replace(/#[^#]*$/, "") === key);
  const lines = (text) => text.replace(/\r\n?/g, "\n");  // as the editor has them
  // A file that has no draft, and the very text that one was typed over whose file is gone: it was given another name.
  const moved = async (key, digest, folder, files) => {
    const all = await draftsOf(folder);
    for (const { id, kept } of await found("/typed-over/" + digest, { folder })) later(all, id, kept);
    const gone = [...all].filter(([id, kept]) => kept.text != null && kept.base === digest && !files.includes(id.replace(/#[^#]*$/, "")));
    const [latest] = gone.sort(([, one], [, other]) => (other.at || 0) - (one.at || 0));
    if (!latest) return {};
    const taken = { ...latest[1], key, at: Date.now() };
    put(key + "#" + tab, taken);
    await post(key + "#" + tab, taken);
    drop(latest[0]);
    return taken;
  };
  const textNow = () => (view && view.editor ? view.editor.state.doc.toString() : null);
  const keep = () => {
    clearTimeout(timer);
    timer = null;
    if (!draft.key || !tab) return;
    put(draft.key + "#" + tab, typedNow());
    sendSoon();
  };
  const keepSoon = () => { if (timer === null) timer = setTimeout(keep, 250); };
  // Only what the viewer types comes here: the text in the editor may still be that of the file before, when a file opens.
  // What was typed goes to the server as changes; one that is too long for a message is dropped, so after keys in a long
  // text the server looks whether it has what stands here.
  let looking = null;
  const changed = () => {
    const text = textNow();
    unsaved = text !== base;
    draft.text = unsaved ? text : null;
    keepSoon();
    clearTimeout(looking);
    if (text !== null && text.length > 300000) looking = setTimeout(() => view?.$emit("long-text"), 700);
  };
  const restored = (text) => { draft.text = text; unsaved = true; };
  // The draft of a file that is about to be opened; what was typed into the one before is kept first.
  // Its inputs stay here: they may be longer than a message of the socket.
  const leave = async (...of) => { keep(); send(true); coming = { key: of[0], draft: await read(...of) }; return { ...coming.draft, inputs: "" }; };
  // A file was opened: `text` is what the disk holds, `digest` names it, so that a draft knows what it was written over.
  const opened = (key, text, digest, udf) => {
    if (timer !== null) keep();  // what was typed since it was left belongs to the file before
    const kept = coming.key === key ? coming.draft : {};
    Object.assign(draft, { key, text: null, base: digest, form: kept.form || {}, nulls: kept.nulls || [], udf: udf || "", inputs: kept.inputs || "" });
    base = lines(text);
    unsaved = false;
    try { localStorage.setItem("fanfold-last", key); } catch { /* no room: the first file opens next time */ }
  };
  const saved = (text, digest) => {
    const now = textNow();
    base = lines(text);
    unsaved = now !== base;
    Object.assign(draft, { base: digest, text: unsaved ? now : null });
    keep();
  };
  // The text of the disk takes the place of what is in the editor: unless that has been typed into, or `always`. It is told
  // to the server as all that changes here is.
  const replace = (disk, digest, always) => {
    const now = textNow(), text = lines(disk);
    if (now === null || (now !== base && !always)) return false;
    let start = 0, end = now.length, last = text.length;
    while (start < end && start < last && now[start] === text[start]) start++;
    while (end > start && last > start && now[end - 1] === text[last - 1]) { end--; last--; }
    base = text;
    if (now !== text) view.editor.dispatch({ changes: { from: start, to: end, insert: text.slice(start, last) } });
    saved(disk, digest);
    return true;
  };
  // What names the text that stands there now: every change before has been sent by then, and none after.
  const shown = async () => {
    let text, sum;
    do {
      text = textNow() || "";
      sum = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    } while (text !== (textNow() || ""));
    return [...new Uint8Array(sum)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  const setForm = (form, nulls, udf) => { draft.form = form; draft.nulls = nulls; draft.udf = udf; keepSoon(); };
  const address = (file, udf, job, shown) => {
    const url = new URL(location.href), kept = job === url.searchParams.get("job") ? url.searchParams : new URLSearchParams();
    const run = kept.get("run");
    url.search = new URLSearchParams({ file, ...(udf ? { udf } : {}), ...(job ? { job } : {}), ...(run ? { run } : {}), ...(shown ? { shown } : {}) });
    history.replaceState(history.state, "", url);
    document.title = file + " · Fanfold";
  };
  const box = () => document.querySelector("[data-inputs]");
  // Another file is open: its draft's inputs, and no file of inputs, for of that no draft can know.
  const fillInputs = () => {
    const target = box(), input = document.querySelector("[data-inputs-file]");
    if (target && target.value !== draft.inputs) target.value = draft.inputs;
    if (input) input.value = "";
  };
  const typed = (e) => {
    if (e.target.matches?.("[data-inputs]")) { draft.inputs = e.target.value; keepSoon(); }
    const none = e.target.closest?.("[data-field]")?.querySelector("[type=checkbox]");
    if (e.target === none || e.target.matches?.("[data-param]")) { e.target.ffTyped = draft.key || true; keepSoon(); }
    if (!none || e.target === none) return;
    none.checked = false;  // what is typed is given, and None no more
    none.ffTyped = draft.key;
  };
  document.addEventListener("input", typed, true);
  document.addEventListener("change", typed, true);
  // A field of the form that gives way to another of its name leaves it what was typed, of which the server may not have
  // heard yet, and the focus. What only changes its place has the focus again.
  let focused = null;
  document.addEventListener("focusin", ({ target }) => {
    focused = target;
    if (isUntouched(target)) target.value = target.value;  // it is its own now: another default does not move what is marked
  });
  document.addEventListener("focusout", ({ target }) => {
    followDefault(target);
    setTimeout(() => { if (focused === target && document.activeElement !== target) focused = null; });
  });
  // A field that nobody has typed into, not even half of a number or a date, shows its default, as it is now.
  const isUntouched = (one) => one.matches?.("input[data-param], textarea[data-param]") && !one.ffTyped && one.ffSaid === undefined && !one.validity.badInput;
  const followDefault = (one) => { if (isUntouched(one) && one.value !== one.defaultValue) one.value = one.defaultValue; };
  const handOver = (old, now) => {
    const own = now.value;
    if (old.ffTyped && !now.ffTyped && old.value !== own) {
      now.value = old.value;
      if (now.value === old.value) now.dispatchEvent(new Event(now.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
      else now.value = own;  // it cannot stand in a field of this kind
    }
    if (focused !== old) return;
    now.focus({ preventScroll: true });
    if (old.selectionStart != null && now.selectionStart != null) now.setSelectionRange(old.selectionStart, old.selectionEnd);
  };
  const params = (nodes) => [...nodes].flatMap((node) => (node.nodeType !== 1 ? [] : node.matches("[data-param]") ? [node] : [...node.querySelectorAll("[data-param]")]));
  const fieldsChanged = (changes) => {
    for (const { target } of changes) if (target !== document.activeElement) followDefault(target);
    const gone = params(changes.flatMap((one) => [...one.removedNodes])).filter((one) => !one.isConnected);
    const come = params(changes.flatMap((one) => [...one.addedNodes])).filter((one) => one.isConnected);
    for (const old of gone) {
      const now = come.find((one) => one.dataset.param === old.dataset.param);
      if (now) handOver(old, now);
    }
    if (focused?.isConnected && document.activeElement === document.body) focused.focus({ preventScroll: true });
  };
  // What may be long goes to the server in a request of its own: a socket's message has room for 1 MB.
  const sent = async (path, name, body) => {
    const answer = await fetch(path + "?name=" + encodeURIComponent(name), { method: "POST", body });
    return answer.ok ? await answer.json() : { error: (await answer.json().catch(() => ({}))).detail || "The server answered " + answer.status + "." };
  };
  const sendInputs = async (path) => {
    const file = document.querySelector("[data-inputs-file]")?.files[0];
    try {
      return await sent(path, file ? file.name : "", file || new Blob([box()?.value || ""]));
    } catch {
      return { error: "The inputs could not be sent: the Workbench does not answer." };
    }
  };
  const sendText = (path) => (textNow() === null ? null : sent(path, "", new Blob([JSON.stringify(textNow())])).catch(() => null));
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
    new MutationObserver(fieldsChanged).observe(document.querySelector(".ff-side"), { childList: true, subtree: true, attributes: true, attributeFilter: ["value"] });
    const keepNow = () => { keep(); if (sending !== null) send(true); };
    addEventListener("pagehide", keepNow);
    document.addEventListener("visibilitychange", () => { if (document.hidden) keepNow(); });
    addEventListener("beforeunload", (e) => { keepNow(); if (unsaved) e.preventDefault(); });
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
  // On a narrow screen what a run gives stands below the form: it comes in sight when something is begun.
  const showOutcome = () => { if (innerWidth <= 1100) document.querySelector(".ff-outcome")?.scrollIntoView({ block: "start" }); };
  const isSave = (e) => (e.ctrlKey || e.metaKey) && !e.shiftKey && e.key.toLowerCase() === "s";
  const key = (e) => {
    if (e.shiftKey && e.key === "Enter") { followDefault(document.activeElement); return "run"; }
    return isSave(e) ? "save" : "";
  };
  return { leave, isKept, restored, opened, saved, changed, replace, shown, text: textNow, sendText, setForm, address, fillInputs, sendInputs, goTo, mark, showOutcome, start, key };
})();
