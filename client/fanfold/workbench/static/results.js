// The results of all runs: rows that the server sorts and filters, and a map of all shapes that is drawn on a canvas.
window.ff.results = (() => {
  // An answer to an older question may come later than the newest's: its count is no longer true.
  let newest = 0;
  const source = (path, words, first) => {
    const mine = ++newest;
    const tell = (text) => { const told = document.getElementById("ff-result-count"); if (told && mine === newest) told.textContent = text; };
    const getRows = (params) => {
      const sort = params.sortModel[0] || { colId: "", sort: "asc" };
      const query = new URLSearchParams({ start: params.startRow, stop: params.endRow, sort: sort.colId, order: sort.sort, words, first });
      fetch(path + "?" + query).then(async (r) => {
        const answer = await r.json();
        if (!r.ok) throw new Error(answer.detail || r.status);
        tell(ff.number(answer.count) + (answer.count === 1 ? " row" : " rows") + (words ? " of this kind" : ""));
        params.successCallback(answer.rows, answer.count);
      }).catch((error) => { tell(error.message); params.successCallback([], 0); });
    };
    return { getRows };
  };

  // The map. `shapes` is what the server sent; `view` what is in sight: the corner at the left below, and pixels a unit.
  const state = { path: "", names: [], shapes: null, codes: null, meaning: null, view: null, drawn: null, asked: 0, frame: 0 };
  const canvas = () => document.getElementById("ff-map");
  const say = (id, words) => { const target = document.getElementById(id); if (target) target.textContent = words; };

  const read = async (path) => {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || answer.status);
    const bytes = await answer.arrayBuffer(), all = new Uint8Array(bytes), end = all.indexOf(10);
    return { head: JSON.parse(new TextDecoder().decode(all.subarray(0, end))), bytes, at: end + 1 };
  };
  const open = async (path, names) => {
    Object.assign(state, { path, names, shapes: null, codes: null, meaning: null, drawn: null });
    try {
      const { head, bytes, at } = await read(path + "/shapes");
      const xy = new Float32Array(bytes, at, head.corners * 2);
      const starts = new Uint32Array(bytes, at + xy.byteLength, head.paths);
      const rows = new Uint32Array(bytes, at + xy.byteLength + starts.byteLength, head.paths);
      const kinds = new Uint8Array(bytes, at + xy.byteLength + 2 * starts.byteLength, head.paths);
      state.shapes = { head, xy, starts, rows, kinds, boxes: boxesOf(xy, starts), wide: 1 };
      if (head.geographic) state.shapes.wide = Math.max(0.05, Math.cos(((head.y + head.height / 2) * Math.PI) / 180));
      state.shapes.index = indexOf(state.shapes);
      const left = head.left_out ? ", " + ff.number(head.left_out) + " corners left out that lie closer than a screen shows" : "";
      say("ff-map-words", ff.number(head.shapes) + (head.shapes === 1 ? " shape" : " shapes") + left + (head.nowhere ? ", " + ff.number(head.nowhere) + " without a place (NaN or infinite)" : ""));
      listen();
      whole();
    } catch (error) { say("ff-map-words", error.message); }
  };
  const boxesOf = (xy, starts) => {
    const boxes = new Float32Array(starts.length * 4);
    for (let p = 0; p < starts.length; p++) {
      const end = p + 1 < starts.length ? starts[p + 1] : xy.length / 2;
      let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
      for (let i = starts[p]; i < end; i++) {
        const x = xy[2 * i], y = xy[2 * i + 1];
        if (x < x0) x0 = x; if (x > x1) x1 = x; if (y < y0) y0 = y; if (y > y1) y1 = y;
      }
      boxes.set([x0, y0, x1, y1], 4 * p);
    }
    return boxes;
  };
  // Which paths touch which cell of a grid: for what lies under the pointer.
  const CELLS = 128;
  const indexOf = (shapes) => {
    const { head, boxes, starts } = shapes, cells = new Map();
    const column = (x) => Math.max(0, Math.min(CELLS - 1, Math.floor((x / (head.width || 1)) * CELLS)));
    const line = (y) => Math.max(0, Math.min(CELLS - 1, Math.floor((y / (head.height || 1)) * CELLS)));
    for (let p = 0; p < starts.length; p++) {
      for (let cx = column(boxes[4 * p]); cx <= column(boxes[4 * p + 2]); cx++)
        for (let cy = line(boxes[4 * p + 1]); cy <= line(boxes[4 * p + 3]); cy++) {
          const key = cx * CELLS + cy, held = cells.get(key);
          if (held) held.push(p); else cells.set(key, [p]);
        }
    }
    return { cells, column, line };
  };
  const size = () => { const c = canvas(); return [c.clientWidth, c.clientHeight]; };
  const whole = () => {
    const { head, wide } = state.shapes, [w, h] = size(), pad = 14;
    const scale = Math.min((w - 2 * pad) / (head.width * wide || 1e-9), (h - 2 * pad) / (head.height || 1e-9), 1e9);
    state.view = { x: head.width / 2 - w / 2 / scale / wide, y: head.height / 2 - h / 2 / scale, scale };
    draw();
  };
  const zoom = (factor, px, py) => {
    const v = state.view, { wide } = state.shapes, [, h] = size();
    const x = v.x + px / v.scale / wide, y = v.y + (h - py) / v.scale;
    v.scale *= factor;
    v.x = x - px / v.scale / wide;
    v.y = y - (h - py) / v.scale;
    soon();
  };
  const move = (dx, dy) => {
    const v = state.view;
    v.x -= dx / v.scale / state.shapes.wide;
    v.y += dy / v.scale;
    soon();
  };
  // While the view moves, the last drawing is moved and scaled, which is quick whatever it holds; when it rests, all is drawn.
  let resting = 0;
  const soon = () => {
    if (!state.frame) state.frame = requestAnimationFrame(() => { state.frame = 0; shift(); });
    clearTimeout(resting);
    resting = setTimeout(draw, 90);
  };
  const shift = () => {
    const c = canvas(), d = state.drawn, v = state.view;
    if (!c || !d || !c.clientWidth) return;
    const pixels = devicePixelRatio || 1, g = c.getContext("2d"), k = v.scale / d.view.scale, [, h] = size();
    const left = (d.view.x - v.x) * v.scale * state.shapes.wide, below = (d.view.y - v.y) * v.scale;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, c.width, c.height);
    g.drawImage(d.image, left * pixels, (h - below - h * k) * pixels, d.image.width * k, d.image.height * k);
  };
  const palette = () => {
    const numbers = state.meaning?.kind === "number";
    return (code) => {
      if (code === 255) return ff.colour("muted");
      if (numbers) return "hsl(" + (250 - code * 0.86) + " 70% 45%)";
      return "hsl(" + ((code * 137.5) % 360) + " 60% 45%)";
    };
  };
  // All that is in sight is drawn beside the picture that is shown, some milliseconds in each frame, so that a hundred
  // thousand shapes hold nothing up; a view that changes meanwhile begins anew.
  const budget = 12;
  let drawing = 0;
  const draw = () => {
    const c = canvas();
    if (!c || !state.shapes) return;
    const pixels = devicePixelRatio || 1, [w, h] = size();
    if (!w || !h) return;  // its tab is not the one that is shown: once it is, its size changes
    if (c.width !== Math.round(w * pixels)) { c.width = Math.round(w * pixels); c.height = Math.round(h * pixels); }
    const token = ++drawing, view = { ...state.view }, image = new OffscreenCanvas(c.width, c.height), begun = performance.now();
    const g = image.getContext("2d", { willReadFrequently: true }), pen = penOf(g, view, w, h);
    g.setTransform(pixels, 0, 0, pixels, 0, 0);
    let next = 0, longest = 0;
    const step = () => {
      if (token !== drawing || !canvas()) return;
      const started = performance.now();
      while (next < state.shapes.starts.length && performance.now() - started < budget) {
        next = pen(next, next + 100);
        g.getImageData(0, 0, 1, 1);  // has them painted now: the browser would put it off, and then paint all in one frame
      }
      longest = Math.max(longest, performance.now() - started);
      if (next < state.shapes.starts.length) { requestAnimationFrame(step); return; }
      state.drawn = { image, view };
      shift();
      c.dataset.drawn = String((state.count = (state.count || 0) + 1));
      c.dataset.ms = Math.round(performance.now() - begun);
      c.dataset.longest = Math.round(longest);
    };
    step();
  };
  // Draws the paths from one number to before another, to the end of the shape that it is in; returns where it has come to.
  const penOf = (g, v, w, h) => {
    const { xy, starts, rows, kinds, boxes, wide } = state.shapes, codes = state.codes, colourOf = palette();
    const X = (x) => (x - v.x) * v.scale * wide, Y = (y) => h - (y - v.y) * v.scale;
    const x0 = v.x, x1 = v.x + w / v.scale / wide, y0 = v.y, y1 = v.y + h / v.scale, inks = new Map(), plain = ff.colour("running");
    const alpha = codes ? 0.7 : 0.25;
    let ink = null;
    const use = (row) => {
      const code = codes ? codes[row] : -1;
      let wanted = inks.get(code);
      if (wanted === undefined) { wanted = code < 0 ? plain : colourOf(code); inks.set(code, wanted); }
      if (wanted !== ink) { ink = wanted; g.fillStyle = g.strokeStyle = ink; }
    };
    const trace = (p) => {
      const end = p + 1 < starts.length ? starts[p + 1] : xy.length / 2;
      g.moveTo(X(xy[2 * starts[p]]), Y(xy[2 * starts[p] + 1]));
      for (let i = starts[p] + 1; i < end; i++) g.lineTo(X(xy[2 * i]), Y(xy[2 * i + 1]));
    };
    return (from, to) => {
      let p = from;
      while (p < starts.length && p < to) {
        const first = p, row = rows[p], kind = kinds[p];
        p++;
        if (kind === 2) while (p < starts.length && kinds[p] === 2 && rows[p] === row) p++;  // its holes, and its other parts
        let bx0 = Infinity, by0 = Infinity, bx1 = -Infinity, by1 = -Infinity;
        for (let q = first; q < p; q++) {
          bx0 = Math.min(bx0, boxes[4 * q]); by0 = Math.min(by0, boxes[4 * q + 1]);
          bx1 = Math.max(bx1, boxes[4 * q + 2]); by1 = Math.max(by1, boxes[4 * q + 3]);
        }
        if (bx1 < x0 || bx0 > x1 || by1 < y0 || by0 > y1) continue;
        use(row);
        const across = (bx1 - bx0) * v.scale * wide, up = (by1 - by0) * v.scale;
        if (kind === 0) { g.globalAlpha = 1; g.fillRect(X(bx0) - 2.5, Y(by0) - 2.5, 5, 5); continue; }
        if (across < 3 && up < 3) {
          g.globalAlpha = kind === 2 ? Math.max(alpha, 0.5) : 1;
          g.fillRect(X(bx0), Y(by1), Math.max(across, 1), Math.max(up, 1));
          continue;
        }
        g.beginPath();
        for (let q = first; q < p; q++) { trace(q); if (kind === 2) g.closePath(); }
        if (kind === 2) { g.globalAlpha = alpha; g.fill("evenodd"); }
        g.globalAlpha = 1;
        g.lineWidth = kind === 2 ? 0.6 : 1.3;
        g.stroke();
      }
      return p;
    };
  };

  // What lies under a point: a ring that holds it, else the line or point that comes nearest within a few pixels.
  const inside = (p, x, y) => {
    const { xy, starts } = state.shapes, end = p + 1 < starts.length ? starts[p + 1] : xy.length / 2;
    let is = false;
    for (let i = starts[p], j = end - 1; i < end; j = i++) {
      const xi = xy[2 * i], yi = xy[2 * i + 1], xj = xy[2 * j], yj = xy[2 * j + 1];
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) is = !is;
    }
    return is;
  };
  const distance = (p, x, y) => {
    const { xy, starts, wide } = state.shapes, end = p + 1 < starts.length ? starts[p + 1] : xy.length / 2;
    let best = Infinity;
    for (let i = starts[p]; i < end; i++) {
      const ax = (xy[2 * i] - x) * wide, ay = xy[2 * i + 1] - y;
      let dx = ax, dy = ay;
      if (i + 1 < end) {
        const ux = (xy[2 * i + 2] - xy[2 * i]) * wide, uy = xy[2 * i + 3] - xy[2 * i + 1], uu = ux * ux + uy * uy;
        const t = uu ? Math.max(0, Math.min(1, -(ax * ux + ay * uy) / uu)) : 0;
        dx = ax + t * ux; dy = ay + t * uy;
      }
      best = Math.min(best, Math.hypot(dx, dy));
    }
    return best;
  };
  const under = (px, py) => {
    const v = state.view, { index, kinds, rows, wide } = state.shapes, [, h] = size();
    const x = v.x + px / v.scale / wide, y = v.y + (h - py) / v.scale, near = 6 / v.scale;
    const odd = new Map();
    let row = -1, best = near;
    const cells = new Set();
    for (const cx of [index.column(x - near / wide), index.column(x), index.column(x + near / wide)])
      for (const cy of [index.line(y - near), index.line(y), index.line(y + near)]) cells.add(cx * CELLS + cy);
    const seen = new Set();
    for (const key of cells) for (const p of index.cells.get(key) || []) {
      if (seen.has(p)) continue;
      seen.add(p);
      if (kinds[p] === 2) { if (inside(p, x, y)) odd.set(rows[p], !odd.get(rows[p])); }
      else { const d = distance(p, x, y); if (d < best) { best = d; row = rows[p]; } }
    }
    if (row < 0) for (const [one, is] of odd) if (is) row = one;
    return row;
  };
  let pointed = -1;
  const point = async (px, py) => {
    const row = state.shapes ? under(px, py) : -1, tip = document.getElementById("ff-map-tip");
    if (!tip) return;
    tip.style.left = Math.min(px + 14, size()[0] - 240) + "px";
    tip.style.top = py + 14 + "px";
    if (row === pointed) return;
    pointed = row;
    if (row < 0) { tip.classList.add("ff-hidden"); return; }
    const answer = await fetch(state.path + "/table/" + row + ".json").then((r) => r.json()).catch(() => null);
    if (row !== pointed || !answer) return;
    tip.replaceChildren(...state.names.map((name, n) => ff.made("div", "", name + ": " + (answer["c" + n] ?? ""))));
    tip.classList.remove("ff-hidden");
  };
  const listen = () => {
    const c = canvas();
    if (!c || c.dataset.listens) return;
    c.dataset.listens = "1";
    let held = null;
    c.addEventListener("pointerdown", (e) => { held = [e.clientX, e.clientY]; c.setPointerCapture(e.pointerId); });
    c.addEventListener("pointermove", (e) => {
      if (held) { move(e.clientX - held[0], e.clientY - held[1]); held = [e.clientX, e.clientY]; }
      else point(e.offsetX, e.offsetY);
    });
    c.addEventListener("pointerup", () => { held = null; });
    c.addEventListener("pointerleave", () => { pointed = -1; document.getElementById("ff-map-tip")?.classList.add("ff-hidden"); });
    c.addEventListener("wheel", (e) => { e.preventDefault(); zoom(Math.exp(-e.deltaY * 0.002), e.offsetX, e.offsetY); }, { passive: false });
    c.addEventListener("keydown", (e) => {
      const [w, h] = size(), step = 60;
      const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
      if (moves[e.key]) move(...moves[e.key]);
      else if (e.key === "+" || e.key === "=") zoom(1.5, w / 2, h / 2);
      else if (e.key === "-") zoom(1 / 1.5, w / 2, h / 2);
      else if (e.key === "0") whole();
      else return;
      e.preventDefault();
    });
    new ResizeObserver(() => { if (state.shapes && canvas()) soon(); }).observe(c);
  };
  const colour = async (column) => {
    const asked = ++state.asked;
    state.codes = state.meaning = null;
    if (column !== "") {
      const { head, bytes, at } = await read(state.path + "/shapes/" + column);
      if (asked !== state.asked) return;
      state.meaning = head;
      state.codes = new Uint8Array(bytes, at);
    }
    legend();
    draw();
  };
  const legend = () => {
    const target = document.getElementById("ff-map-legend"), m = state.meaning, colourOf = palette();
    if (!target) return;
    target.replaceChildren();
    if (!m) return;
    const entry = (code, words) => {
      const mark = ff.made("i", "ff-swatch");
      mark.style.background = colourOf(code);
      target.append(mark, words + " ");
    };
    const shown = (value) => ff.number(Math.round(value * 1e4) / 1e4);
    if (m.kind === "number") { entry(0, shown(m.low)); entry(127, shown((m.low + m.high) / 2)); entry(254, shown(m.high)); }
    else { m.names.slice(0, 12).forEach((name, n) => entry(n, name)); const more = m.names.length - 12 + m.more; if (more > 0) target.append("and " + ff.number(more) + " more"); }
  };
  return { source, open, colour, draw, under, state };
})();
