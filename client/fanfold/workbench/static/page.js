// What the browser does by itself: cells of tables, made of text nodes and never of HTML, and the filters of the jobs.
window.ff = (() => {
  const made = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const colour = (name) => getComputedStyle(document.body).getPropertyValue("--ff-" + name).trim();
  const narrow = () => window.innerWidth < 700;
  const number = (value) => Number(value).toLocaleString("en-US");
  const duration = (s) => {
    if (s === null || s === undefined) return "";
    if (s === 0) return "0 s";
    if (s < 1) return Math.round(s * 1000) + " ms";
    if (s < 60) return s.toFixed(1) + " s";
    const whole = Math.round(s);
    const both = (high, low, unit) => high + (low ? " " + low + unit : "");
    if (whole < 3600) return both(Math.floor(whole / 60) + " min", whole % 60, " s");
    return both(number(Math.floor(whole / 3600)) + " h", Math.floor((whole % 3600) / 60), " min");
  };
  const tick = (s) => duration(s).replace(".0 s", " s");
  const ago = (at) => {
    const s = Math.max(0, Date.now() / 1000 - at);
    if (s < 60) return "just now";
    if (s < 3600) return Math.floor(s / 60) + " min ago";
    if (s < 86400) return Math.floor(s / 3600) + " h ago";
    if (s < 30 * 86400) return Math.floor(s / 86400) + " d ago";
    return new Date(at * 1000).toISOString().slice(0, 10);
  };
  const dollars = (usd) => (usd === null || usd === undefined ? "" : usd > 0 && usd < 0.01 ? "<$0.01" : "$" + usd.toFixed(2));
  const link = (p) => {
    const a = made("a", "", p.value);
    a.href = "/job/" + encodeURIComponent(p.data.id);
    a.title = p.data.name + " · " + p.data.id;
    return a;
  };
  const status = (p) => made("span", p.value ? "ff-status ff-" + p.value : "ff-muted", p.value ? p.value.replaceAll("_", " ") : "reading…");
  const progress = (p) => {
    const row = p.data, cell = made("div", "ff-cell");
    if (!row.status) return cell;
    const bar = made("div", "ff-progress");
    for (const [name, count] of [["succeeded", row.ended - row.failed], ["failed", row.failed], ["running", row.running]]) {
      if (!count) continue;
      const part = made("i", "ff-" + (name === "succeeded" && row.status === "Cancelled" ? "cancelled" : name));
      part.style.width = (100 * count) / Math.max(1, row.runs) + "%";
      bar.append(part);
    }
    cell.append(bar, made("span", "ff-amount", number(row.ended) + "/" + number(row.runs)));
    return cell;
  };
  const failures = (p) => made("span", p.value ? "ff-failed" : "ff-muted", p.value === undefined ? "" : number(p.value));
  const chosen = { status: "", age: 0, owner: "" };
  const choose = (name, value) => { chosen[name] = value; };
  const passes = (node) => {
    const row = node.data;
    if (chosen.status && row.status !== chosen.status) return false;
    if (chosen.owner && row.owner !== chosen.owner) return false;
    return !chosen.age || Date.now() / 1000 - row.created < chosen.age;
  };
  const inSight = (api) => {
    const ids = [], last = api.getLastDisplayedRowIndex();
    for (let i = Math.max(0, api.getFirstDisplayedRowIndex()); i <= last && ids.length < 80; i++) {
      const node = api.getDisplayedRowAtIndex(i);
      if (node) ids.push(node.id);
    }
    return ids;
  };

  // Shapes and words of the charts.
  const colourOf = (name) => colour({ succeeded: "good", running: "running", cancelled: "cancelled" }[name] || "bad");
  const bar = (params, api) => {
    const line = api.value(0), start = api.coord([api.value(1), line]), end = api.coord([api.value(2), line + 1]);
    const area = params.coordSys, height = Math.max(1, (end[1] - start[1]) * 0.86);
    const left = Math.max(area.x, start[0]), right = Math.min(area.x + area.width, Math.max(end[0], start[0] + 1));
    if (right < left) return null;
    const children = [];
    const waited = api.coord([api.value(5), line])[0];
    if (waited < start[0] - 1) {
      const from = Math.max(area.x, waited), to = Math.min(area.x + area.width, start[0]);
      if (to > from) children.push({ type: "rect", shape: { x: from, y: start[1] + height * 0.38, width: to - from, height: Math.max(1, height * 0.24) }, style: { fill: colour("line") } });
    }
    children.push({ type: "rect", shape: { x: left, y: start[1], width: right - left, height }, style: { fill: colourOf(api.value(3)) } });
    return { type: "group", children };
  };
  const bin = (params, api) => {
    const from = api.coord([api.value(0), 0]), to = api.coord([api.value(1), api.value(2)]);
    return { type: "rect", shape: { x: from[0] + 1, y: to[1], width: Math.max(1, to[0] - from[0] - 2), height: from[1] - to[1] }, style: { fill: colour("running") } };
  };
  const tip = (p) => {
    if (p.seriesType !== "custom") return p.seriesName + ": " + number(Math.round(p.value[1] * 10) / 10) + " at " + duration(p.value[0]);
    const [, start, end, status, run, waited] = p.value;
    return "run " + run + " " + String(status).replaceAll("_", " ") + ", " + duration(end - start) + (waited < start ? ", waited " + duration(start - waited) : ", began at " + duration(start));
  };
  const binTip = (p) => number(p.value[2]) + " runs took " + duration(p.value[0]) + " to " + duration(p.value[1]);

  // The runs of a job: read from the server in pages, as far as they are scrolled to.
  const runsSource = (path, status) => ({
    getRows: (params) => {
      const sort = params.sortModel[0] || { colId: "run", sort: "asc" };
      const query = new URLSearchParams({ start: params.startRow, stop: params.endRow, sort: sort.colId, order: sort.sort, status: status || "" });
      fetch(path + "?" + query).then((r) => (r.ok ? r.json() : Promise.reject(r.status)))
        .then((page) => params.successCallback(page.rows, page.count), () => params.failCallback());
    },
  });
  const mib = (value) => (value === null || value === undefined ? "" : number(Math.round(value)) + " MiB");
  // CodeMirror gives its box no name for those who do not see it, and where nothing has the focus no element hears the
  // keys. Returns whether the page is dark.
  const nameEditor = () => {
    document.addEventListener("keydown", (e) => {
      const bench = document.querySelector(".ff-workspace");
      if (e.target === document.body && bench && e.shiftKey && e.key === "Enter") bench.dispatchEvent(new KeyboardEvent("keydown", e));
    });
    const named = setInterval(() => {
      const box = document.querySelector(".cm-content");
      if (box) { box.setAttribute("aria-label", "Code"); box.tabIndex = 0; clearInterval(named); }
    }, 50);
    return document.body.classList.contains("body--dark");
  };
  const moveTab = (e) => {
    const tabs = [...e.currentTarget.querySelectorAll("[role=tab]")], at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.focus();
    tab.click();
  };
  const copy = (text) => navigator.clipboard.writeText(text);

  // The log: lines arrive as [run, text] and are kept as text. All are searched; a stretch of them is drawn, the last one
  // while nobody has gone elsewhere, and it moves on where it is scrolled to its edge.
  const logs = { lines: [], view: [], run: "", find: "", at: -1, first: 0, most: 4000, kept: 50000 };
  const isError = (text) => /\b(error|exception|traceback|critical|fatal)\b|^\w*(Error|Exception)\b/i.test(text);
  const isFound = (text) => logs.find !== "" && text.toLowerCase().includes(logs.find);
  const wanted = ([run]) => logs.run === "" || String(run) === logs.run;
  const box = () => document.getElementById("ff-log");
  const lineOf = ([run, text], place) => {
    const line = made("div", "");
    line.append(made("span", "ff-run", "[" + run + "] "), document.createTextNode(text));
    if (isError(text)) line.classList.add("ff-error-line");
    if (isFound(text)) line.classList.add("ff-hit");
    if (place === logs.at) line.classList.add("ff-here");
    return line;
  };
  const tell = (more) => {
    const told = document.getElementById("ff-log-count");
    if (!told) return;
    const hits = logs.find ? ", " + number(logs.view.filter(([, text]) => isFound(text)).length) + " found" : "";
    told.textContent = number(logs.view.length) + " lines" + hits + (more ? " · " + more : "");
  };
  const latest = () => Math.max(0, logs.view.length - logs.most);
  const draw = (first) => {
    logs.first = Math.min(Math.max(0, first), latest());
    box().replaceChildren(...logs.view.slice(logs.first, logs.first + logs.most).map((line, n) => lineOf(line, logs.first + n)));
  };
  const redraw = () => {
    logs.view = logs.lines.filter(wanted);
    if (!box()) return;
    draw(latest());
    box().scrollTop = box().scrollHeight;
    tell();
  };
  const addLogs = (lines) => {
    const target = box(), drawn = target ? target.childElementCount : 0, atEnd = logs.first + drawn === logs.view.length;
    for (const line of lines) logs.lines.push(line);
    logs.view.push(...lines.filter(wanted));
    if (logs.lines.length > logs.kept) {
      const gone = logs.lines.splice(0, logs.lines.length - logs.kept).filter(wanted).length;
      logs.view.splice(0, gone);
      logs.first -= gone;
      logs.at = logs.at < gone ? -1 : logs.at - gone;
    }
    if (!target) return;
    const follows = atEnd && target.scrollTop + target.clientHeight > target.scrollHeight - 40;
    if (follows && logs.first >= 0) {
      const begin = logs.first + drawn;
      target.append(...logs.view.slice(begin).map((line, n) => lineOf(line, begin + n)));
      while (target.childElementCount > logs.most) { target.firstElementChild.remove(); logs.first++; }
    } else if (logs.first < 0) {
      draw(0);
    }
    if (follows) target.scrollTop = target.scrollHeight;
    tell();
  };
  const scrolled = () => {
    const target = box(), first = logs.first, high = target.scrollHeight, at = target.scrollTop;
    const up = at === 0 && first > 0, down = at + target.clientHeight >= high - 1 && first < latest();
    if (!up && !down) return;
    const height = high / Math.max(1, target.childElementCount);
    draw(first + ((up ? -1 : 1) * logs.most) / 2);
    target.scrollTop = at + (first - logs.first) * height;
  };
  const jump = (what) => {
    const fits = what === "error" ? isError : isFound, count = logs.view.length;
    for (let n = 1; n <= count; n++) {
      const place = (logs.at + n) % count;
      if (!fits(logs.view[place][1])) continue;
      logs.at = place;
      draw(place - logs.most / 2);
      box().children[place - logs.first].scrollIntoView({ block: "center" });
      tell("line " + number(place + 1));
      return;
    }
    tell(what === "error" ? "no error among them" : logs.find ? "" : "say what to find");
  };
  const findInLogs = (text) => { logs.find = text.trim().toLowerCase(); logs.at = -1; if (logs.find) { draw(logs.first); jump("found"); } else redraw(); };
  const showRun = (run) => { logs.run = run.trim(); logs.at = -1; redraw(); };
  const clearLogs = () => { logs.lines.length = 0; logs.at = -1; redraw(); box().addEventListener("scroll", scrolled); };
  return { colour, narrow, number, duration, tick, ago, dollars, link, status, progress, failures, choose, passes, inSight, copy, bar, bin, tip, binTip, runsSource, mib, nameEditor, moveTab,
    addLogs, findInLogs, showRun, clearLogs, jump, logs };
})();
