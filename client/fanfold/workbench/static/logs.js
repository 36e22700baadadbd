// The log of a job: a stretch of its lines is drawn, and the server is asked for what is before, after or searched for.
window.ff.logs = (() => {
  const most = 4000, step = 2000, around = 1000;
  const state = { path: "", run: "", find: "", first: 0, count: 0, at: -1, asked: 0, more: "", drawnRun: null };
  const box = () => document.getElementById("ff-log");
  const pad = (n) => String(n).padStart(2, "0");
  const clock = (s) => { const d = new Date(s * 1000); return pad(d.getHours()) + ":" + pad(d.getMinutes()) + ":" + pad(d.getSeconds()); };
  const ask = async (what, query) => {
    const known = Object.entries({ ...query, run: state.run }).filter(([, value]) => value !== "" && value !== undefined);
    const answer = await fetch(state.path + what + "?" + new URLSearchParams(known));
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  };
  const lineOf = ([place, run, attempt, at, level, text]) => {
    const line = ff.made("div", level ? "ff-" + level + "-line" : "");
    line.dataset.at = clock(at) + " ";
    const owner = ff.made("a", "ff-run", "[" + run + (attempt ? ", attempt " + (attempt + 1) : "") + "]");
    owner.href = state.path + "/run/" + run;
    line.append(owner, " ");
    const found = state.find ? text.toLowerCase().indexOf(state.find.toLowerCase()) : -1;
    if (found < 0) line.append(text);
    else {
      line.append(text.slice(0, found), ff.made("mark", "", text.slice(found, found + state.find.length)), text.slice(found + state.find.length));
      line.classList.add("ff-hit");
    }
    if (place === state.at) line.classList.add("ff-here");
    return line;
  };
  const tell = () => {
    const words = document.getElementById("ff-log-count");
    if (words) words.textContent = ff.number(state.count) + (state.count === 1 ? " line" : " lines") + state.more;
  };
  const drawn = () => box()?.childElementCount || 0;
  const atEnd = () => { const b = box(); return b && state.first + drawn() >= state.count && b.scrollTop + b.clientHeight > b.scrollHeight - 40; };
  // Draw the lines around a place. What was asked before a later question is not shown, however late it is answered.
  const draw = async (first, wanted = most, asked = ++state.asked) => {
    const begin = Math.max(0, first), lines = [];
    let page, part;
    do {
      part = Math.min(2000, wanted - lines.length);
      page = await ask("/logs.json", { start: begin + lines.length, stop: begin + lines.length + part });
      lines.push(...page.lines);
    } while (asked === state.asked && page.lines.length === part && lines.length < wanted);
    if (asked !== state.asked || !box()) return false;
    state.first = begin;
    state.count = page.count;
    state.drawnRun = state.run;
    box().replaceChildren(...lines.map(lineOf));
    tell();
    return true;
  };
  const toEnd = async () => {
    const asked = ++state.asked, page = await ask("/logs.json", { start: 0, stop: 0 });
    if (asked === state.asked && await draw(page.count - most, most, asked)) box().scrollTop = box().scrollHeight;
  };
  let growing = false;
  const grew = async () => {
    if (growing || !state.path) return;
    growing = true;
    try {
      const follows = drawn() === 0 || atEnd(), asked = state.asked;
      const page = await ask("/logs.json", { start: state.first + drawn(), stop: follows ? state.first + drawn() + 2000 : 0 });
      if (asked !== state.asked || !box()) return;
      state.count = page.count;
      if (page.count > state.first + drawn() + 2000 && follows) { await toEnd(); return; }
      if (follows) {
        box().append(...page.lines.map(lineOf));
        while (drawn() > most) { box().firstElementChild.remove(); state.first++; }
        box().scrollTop = box().scrollHeight;
      }
      tell();
    } catch { /* the server does not answer; the page says so elsewhere */ } finally { growing = false; }
  };
  let moving = false, timer = null;
  const scrolled = async () => {
    const b = box(), top = b.scrollTop, high = b.scrollHeight;
    const up = top === 0 && state.first > 0, down = top + b.clientHeight >= high - 1 && state.first + drawn() < state.count;
    if (moving || (!up && !down)) return;
    moving = true;
    const height = high / Math.max(1, drawn()), first = state.first;
    try { if (await draw(up ? first - step : first + drawn() - step)) b.scrollTop = top + (first - state.first) * height; } finally { moving = false; }
  };
  const jump = async (what) => {
    if (what === "found" && !state.find) { state.more = " · say what to find"; tell(); return; }
    clearTimeout(timer);  // what was typed is searched for now
    const asked = ++state.asked;
    const hit = await ask("/logs/next.json", { after: state.at, words: what === "found" ? state.find : "" });
    if (asked !== state.asked) return;
    state.count = hit.lines;
    const found = what === "found" ? ", " + (hit.all ? "" : "more than ") + ff.number(hit.count) + " found" : "";
    if (hit.place === null) {
      state.more = what === "error" ? " · no error among them" : found;
      state.at = -1;
      tell();
      if (state.drawnRun !== state.run) await toEnd();  // what stands there is what another question has drawn
      return;
    }
    state.at = hit.place;
    state.more = found + " · line " + ff.number(hit.place + 1);
    if (await draw(hit.place - around / 2, around, asked)) box().children[hit.place - state.first]?.scrollIntoView({ block: "center" });
  };
  const changed = (what, value) => {
    state[what] = value.trim();
    state.at = -1;
    state.more = "";
    state.asked++;
    ff.keepInAddress({ [what]: state[what] });
    point();
    clearTimeout(timer);
    timer = setTimeout(begin, what === "find" ? 200 : 100);
  };
  const point = () => {
    document.querySelector("[data-log-download]").href = state.path + "/logs.txt" + (state.run ? "?run=" + encodeURIComponent(state.run) : "");
  };
  // What the address asks for: one run's lines, and the first that holds what is searched for.
  const begin = async () => {
    if (state.find) await jump("found");
    else await toEnd();
  };
  const times = () => {
    const shown = box().classList.toggle("ff-times");
    document.querySelector("[data-times]").setAttribute("aria-pressed", String(shown));
  };
  const open = (path) => {
    const asked = new URL(location.href).searchParams;
    Object.assign(state, { path, run: (asked.get("run") || "").replace(/\D/g, ""), find: asked.get("find") || "", first: 0, count: 0, at: -1, more: "", drawnRun: null });
    box().addEventListener("scroll", scrolled);
    for (const input of document.querySelectorAll("[data-log]")) {
      input.value = state[input.dataset.log];
      input.addEventListener("input", () => changed(input.dataset.log, input.dataset.log === "run" ? input.value.replace(/\D/g, "") : input.value));
    }
    point();
    begin();
  };
  return { open, grew, jump, times, changed, state };
})();
