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
    if (s <= 0) return s ? "-" + duration(-s) : "0 s";
    if (s < 0.001) return Math.round(s * 1e6) + " µs";
    if (s < 0.01) return (s * 1000).toFixed(1).replace(".0", "") + " ms";
    if (s < 0.9995) return Math.round(s * 1000) + " ms";
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
    a.tabIndex = -1;  // Enter on its row opens it
    a.title = p.data.name + " · " + p.data.id;
    return a;
  };
  const status = (p) => {
    const cell = made("span", p.value ? "ff-status ff-" + p.value : "ff-muted", p.value ? p.value.replaceAll("_", " ") : "reading…");
    if (p.data?.why) cell.title = p.data.why;
    return cell;
  };
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
    const all = number(row.ended) + "/" + number(row.runs), short = Math.floor((1000 * row.ended) / Math.max(1, row.runs)) / 10 + "%";
    cell.append(bar, made("span", "ff-amount", row.runs < 10000 ? all : short));  // there is no room for more digits
    cell.title = all;
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
    return { ids, count: api.getDisplayedRowCount() };
  };
  const keepSort = (api, name = "sort") => {
    const sorted = api.getColumnState().find((column) => column.sort);
    keepInAddress({ [name]: sorted ? sorted.colId + ":" + sorted.sort : "" });
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
      if (to > from) children.push({ type: "rect", shape: { x: from, y: start[1] + height * 0.38, width: to - from, height: Math.max(1, height * 0.24) }, style: { fill: colour("queued") } });
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
  // What a chart shows is fetched by itself. Under a key that begins with a colon stands the server's own JavaScript.
  const madeToRun = (options) => {
    if (Array.isArray(options)) options.forEach((one) => (typeof one === "object" && one ? madeToRun(one) : one));
    else for (const [key, value] of Object.entries(options)) {
      if (key[0] === ":") { options[key.slice(1)] = new Function("return (" + value + ")")(); delete options[key]; }
      else if (typeof value === "object" && value) madeToRun(value);
    }
    return options;
  };
  const asked = {};
  const draw = (id, options, mine) => {
    const box = getElement(id);
    if (asked[id] !== mine || !box) return;
    if (!box.chart) return void setTimeout(draw, 10, id, options, mine);
    box.chart.setOption(options, { notMerge: box.chart.getOption()?.series?.length !== options.series.length });
    box.$el.dataset.drawn = mine;
  };
  const drawCharts = (address, charts) => {
    const mine = performance.now();
    for (const id of Object.values(charts)) asked[id] = mine;
    fetch(address).then((r) => (r.ok ? r.json() : {})).then((pictures) => {
      for (const [name, id] of Object.entries(charts)) if (pictures[name]) draw(id, madeToRun(pictures[name]), mine);
    }, () => {});  // no answer: the server is away, and what it says when it is back draws them
  };
  const drawChart = (id, options) => draw(id, madeToRun(options), (asked[id] = performance.now()));
  // A large figure may hold the browser up for so long that the server gives its page up, which is then built anew, and
  // would draw the figure again, and so on: one that was not drawn by then waits to be asked for.
  const drawing = "fanfold-drawing:", longDrawing = 10000;
  addEventListener("pagehide", () => {
    for (const key of Object.keys(sessionStorage)) {
      if (key.startsWith(drawing) && Date.now() - sessionStorage.getItem(key) < longDrawing) sessionStorage.removeItem(key);
    }
  });
  const drawFigure = async (target, figure, config) => {
    const box = typeof target === "string" ? document.getElementById(target) : target;
    const key = drawing + location.pathname + (box.closest("[data-picture]")?.dataset.picture || "");
    if (sessionStorage.getItem(key)) {
      const again = made("button", "ff-button", "Draw it: this browser takes long for it");
      const asked = new Promise((resolve) => { again.onclick = (e) => { e.preventDefault(); resolve(); }; });
      again.type = "button";
      box.append(again);
      await asked;
      again.remove();
    }
    sessionStorage.setItem(key, Date.now());
    const { Plotly } = await import("nicegui-plotly");
    await Plotly.newPlot(box, figure.data, figure.layout, { displaylogo: false, responsive: true, ...config });
    box.dataset.drawn = "1";
    requestAnimationFrame(() => setTimeout(() => sessionStorage.removeItem(key)));
  };
  // A box as wide as a figure is meant to be, made as small as the one that it stands in: laid out for a small one, its
  // title, axes and legend would leave it no room.
  const reduced = (target) => {
    const box = document.createElement("div");
    const fit = () => {
      const scale = target.clientWidth / 640;
      Object.assign(box.style, { width: "640px", height: target.clientHeight / scale + "px", transform: "scale(" + scale + ")", transformOrigin: "0 0" });
    };
    target.append(box);
    new ResizeObserver(fit).observe(target);
    fit();
    return box;
  };
  // A figure among others stands still, and is fetched when it comes in sight.
  const smallFigure = (target, figure) => {
    const layout = { ...figure.layout, width: undefined, height: undefined, autosize: true };
    return drawFigure(reduced(target), { ...figure, layout }, { staticPlot: true });
  };
  const smallPicture = (target, data) => {
    const picture = made("img");
    picture.alt = "";  // its link says what it is
    picture.src = URL.createObjectURL(data);
    target.append(picture);
    return picture.decode().finally(() => URL.revokeObjectURL(picture.src));
  };
  const fillPicture = async (target) => {
    const answer = await fetch(target.dataset.picture);
    if (!answer.ok) throw answer.status;
    if (answer.status === 204) target.textContent = "no picture";
    else if (answer.headers.get("content-type") === "application/json") await smallFigure(target, await answer.json());
    else await smallPicture(target, await answer.blob());
    target.dataset.drawn = "1";
  };
  const watcher = new IntersectionObserver((seen) => seen.filter((one) => one.isIntersecting).forEach(({ target }) => {
    watcher.unobserve(target);
    fillPicture(target).catch(() => { target.textContent = "It cannot be drawn."; });
  }));
  const picturesIn = (id) => document.getElementById(id)?.querySelectorAll("[data-picture]:not([data-drawn])").forEach((one) => watcher.observe(one));
  // A bar is one run: a click opens its page.
  const openBar = (job, e) => {
    if (e.seriesType === "custom" && Array.isArray(e.value)) location.href = "/job/" + job + "/run/" + e.value[4];
  };
  const totalTip = (p) => p.name.replaceAll("<", "‹") + ": " + (p.seriesIndex ? number(p.value) + " " + p.seriesName : duration(p.value));
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
  const byNumber = (a, b) => (a === null ? -Infinity : a) - (b === null ? -Infinity : b) || 0;
  const mib = (value) => (value === null || value === undefined ? "" : number(Math.round(value)) + " MiB");
  const moveTab = (e) => {
    const tabs = [...e.currentTarget.querySelectorAll("[role=tab]")], at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.focus();
    tab.click();
  };
  // Within a table the arrow keys move, and Tab leaves it: left to itself, it goes through each of thousands of cells.
  const stops = "a[href], button, input, select, textarea, summary, [tabindex]";
  const isStop = (one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({ visibilityProperty: true });
  addEventListener("keydown", (e) => {
    const table = e.key === "Tab" && !e.ctrlKey && !e.altKey && !e.metaKey && e.target.closest?.(".ff-grid");
    if (!table) return;
    const way = e.shiftKey ? Node.DOCUMENT_POSITION_PRECEDING : Node.DOCUMENT_POSITION_FOLLOWING;
    const all = [...document.querySelectorAll(stops)].filter((one) => !table.contains(one) && isStop(one));
    const onward = all.filter((one) => table.compareDocumentPosition(one) & way), there = onward.length ? onward : all;
    const next = there.at(e.shiftKey ? -1 : 0);
    if (!next) return;
    e.preventDefault();
    e.stopImmediatePropagation();
    next.focus();
  }, true);
  // What was chosen stands in the address, so that a reload, Back and a link to a colleague show the same.
  const kept = {};
  const keepInAddress = (chosen) => {
    const url = new URL(location.href);
    Object.assign(kept, chosen);
    for (const [name, value] of Object.entries(chosen)) value ? url.searchParams.set(name, value) : url.searchParams.delete(name);
    if (url.href !== location.href) history.replaceState(history.state, "", url);
  };
  // A tab of a job is a step that Back takes back; what has been chosen in the panels since stays chosen.
  // It is shown once the server has heard of it; what was asked for last counts, for Back may be pressed before.
  let openedTab = null;
  const isShown = (tab) => (openedTab ? openedTab === tab.textContent : tab.getAttribute("aria-selected") === "true");
  const openTab = (tab, first) => {
    const url = new URL(location.href), name = tab.textContent, was = isShown(tab);
    openedTab = name;
    if (was || (url.searchParams.get("tab") || first) === name) return;
    name === first ? url.searchParams.delete("tab") : url.searchParams.set("tab", name);
    history.pushState(null, "", url);
  };
  addEventListener("popstate", () => {
    const tabs = [...document.querySelectorAll("[role=tablist] [role=tab]")], name = new URL(location.href).searchParams.get("tab");
    if (!tabs.length) return;
    keepInAddress({ ...kept, tab: name });
    const tab = tabs.find((one) => one.textContent === name) || tabs[0];
    if (!isShown(tab)) tab.click();
  });
  // How a job stands, in the tab: its title, and an icon that fills up. Where that was asked for, its end is told.
  const wanted = (id) => "fanfold-notify:" + id;
  const lastOf = {};
  const progressOf = (id, progress) => {
    const { title, percent, status } = (lastOf[id] = progress);
    document.title = title;
    const picture = document.createElement("canvas");
    picture.width = picture.height = 32;
    const g = picture.getContext("2d"), ended = percent === 100 && status !== "Running";
    g.lineWidth = 6;
    g.strokeStyle = "#8a99a4";
    g.beginPath(); g.arc(16, 16, 12, 0, 7); g.stroke();
    g.strokeStyle = ended ? { Completed: "#1f7a3d", Failed: "#b3261e" }[status] || "#6a7177" : "#1261ab";
    g.beginPath(); g.arc(16, 16, 12, -Math.PI / 2, -Math.PI / 2 + (2 * Math.PI * percent) / 100); g.stroke();
    let icon = document.querySelector("link[rel~=icon]");
    if (!icon) { icon = made("link"); icon.rel = "icon"; document.head.append(icon); }
    icon.href = picture.toDataURL();
    icon.dataset.percent = percent;
    if (!["Queued", "Running"].includes(status) && localStorage.getItem(wanted(id))) {
      localStorage.removeItem(wanted(id));
      if (Notification.permission === "granted") tell(title.replace(" · Fanfold", ""), id);
    }
  };
  // A click on it brings this page to the front. A phone's browser lets no page make one: there the title alone tells.
  const tell = (words, id) => {
    try {
      const told = new Notification(words, { tag: id });
      told.onclick = () => { focus(); told.close(); };
    } catch { /* it has none */ }
  };
  // Returns what to say of it: a browser may refuse.
  const notifyWhenDone = async (id) => {
    if (!("Notification" in window) || (await Notification.requestPermission()) !== "granted") return "The browser does not allow notifications from this page.";
    localStorage.setItem(wanted(id), "1");
    if (lastOf[id]) progressOf(id, lastOf[id]);  // it may have ended while the browser asked
    return "You are told when the job has ended, as long as this page is open.";
  };
  // While the server does not answer NiceGUI says that it tries to reconnect, for ever: what to do about it is said as well.
  const notLetIn = "This browser is not let in any more: open the address that `fanfold workbench` printed.";
  const noServer = "Nothing answers there. Where the Workbench has ended, start it again with `fanfold workbench`: this page comes back by itself where it takes the same port.";
  setInterval(async () => {
    const lost = document.getElementById("popup"), isSaid = () => lost.getAttribute("aria-hidden") === "false";
    const isCut = () => isSaid() || window.socket?.connected === false;  // of one that was never connected NiceGUI says nothing
    if (!lost || !isCut()) return;
    const status = await fetch("/favicon.ico", { cache: "no-store" }).then((answer) => answer.status, () => 0);
    if (!isCut()) return;
    if (status === 403 || !status) lost.setAttribute("aria-hidden", "false");
    const note = document.getElementById("ff-lost") || lost.appendChild(Object.assign(made("div"), { id: "ff-lost" }));
    note.textContent = status === 403 ? notLetIn : status ? "" : noServer;
  }, 2000);
  // Save a file that the server makes; returns why there is none.
  const download = async (anchor) => {
    anchor.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(anchor.href);
      if (answer.status === 403) return notLetIn;
      if (!answer.ok) return (await answer.json().catch(() => ({}))).detail || "The server answered " + answer.status + ".";
      const saved = made("a");
      saved.href = URL.createObjectURL(await answer.blob());
      saved.download = decodeURIComponent((answer.headers.get("content-disposition") || "").split(/filename\*?=(?:utf-8'')?/i)[1]?.replaceAll('"', "") || "results");
      saved.click();
      setTimeout(() => URL.revokeObjectURL(saved.href), 60000);
      return "";
    } catch {
      return "The file could not be fetched: the Workbench does not answer.";
    } finally {
      anchor.removeAttribute("aria-busy");
    }
  };
  // Returns whether it is on the clipboard: a browser may refuse, and where the page came by plain HTTP there is none.
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { return false; }
  };
  // The server need not keep what it holds of a document that is gone; one that the browser may show again is not.
  addEventListener("pagehide", (e) => {
    if (!e.persisted && window.clientId) fetch("/left/" + window.clientId, { method: "POST", keepalive: true }).catch(() => {});
  });

  // The box of what a run prints stays at its end until somebody scrolls it up. That its text grows is no such thing, though
  // the event of a scroll comes only with the next frame: where the box was tells them apart.
  const followOutput = () => {
    const target = document.querySelector("[data-follow]");
    if (!target || target.dataset.left) return;
    target.stoodAt ??= target.scrollTop;
    target.onscroll = () => {
      const below = target.scrollHeight - target.scrollTop - target.clientHeight;
      if (below <= 40) delete target.dataset.left; else if (target.scrollTop < target.stoodAt) target.dataset.left = "1";
      target.stoodAt = target.scrollTop;
    };
    requestAnimationFrame(() => {
      if (target.dataset.left) return;
      target.scrollTop = target.scrollHeight;
      target.stoodAt = target.scrollTop;
    });
  };
  // A value that holds others: each level is made when it is opened, so that a large one costs nothing.
  const most = 200;
  const leaf = (value) => (value?.of ? made("span", value.of === "number" ? "ff-number" : "ff-muted", value.text)
    : made("span", "ff-" + (value === null ? "null" : typeof value), typeof value === "string" ? JSON.stringify(value) : String(value)));
  const branch = (name, value, open) => {
    if (value === null || typeof value !== "object" || value.text !== undefined) {
      const row = made("div", "ff-leaf");
      if (name !== "") row.append(made("span", "ff-key", name + ": "));
      row.append(leaf(value));
      return row;
    }
    const entries = Array.isArray(value) ? Object.entries(value) : value.entries, details = made("details"), summary = made("summary");
    if (name !== "") summary.append(made("span", "ff-key", name + ": "));
    const count = number(entries.length);
    summary.append(made("span", "ff-muted", Array.isArray(value) ? "[" + count + "]" : "{" + count + "}"));
    details.append(summary);
    const fill = (from) => {
      details.append(...entries.slice(from, from + most).map(([key, one]) => branch(key, one, false)));
      if (entries.length <= from + most) return;
      const more = made("button", "ff-button", "Show more (" + number(entries.length - from - most) + " left)");
      more.type = "button";
      more.onclick = () => { more.remove(); fill(from + most); };
      details.append(more);
    };
    let isFilled = false;
    const filled = () => { if (!isFilled) { isFilled = true; fill(0); } };
    details.addEventListener("toggle", filled);
    if (open) { details.open = true; filled(); }
    return details;
  };
  const tree = (id, value) => document.getElementById(id)?.replaceChildren(branch("", value, true));

  return { tree, colour, narrow, number, duration, tick, ago, dollars, link, status, progress, failures, choose, passes, inSight, copy, bar, bin, tip, drawCharts, drawChart, drawFigure, picturesIn, openBar, totalTip, binTip, runsSource, mib, moveTab, openTab, made, followOutput, keepInAddress, progressOf, notifyWhenDone, download, byNumber, keepSort };
})();
