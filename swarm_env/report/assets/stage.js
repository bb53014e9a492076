// One step of an episode as a picture: agents on a ring or their network, a dealing an arrow coloured by p.
const STROKES = [null, "7 4", "2 3"];  // accepted, rejected, expired
const EVERYBODY = 300;  // agents drawn at once; of more, those who do something in the step

function places(log, mode, who, box) {
  const network = log.episode.network, n = who.length;
  if (mode === "network" && network) {
    const ends = [0, 1].map((k) => [Math.min(...network.at.map((at) => at[k])), Math.max(...network.at.map((at) => at[k]))]);
    const scale = (v, [low, high], from, to) => high > low ? from + ((v - low) / (high - low)) * (to - from) : (from + to) / 2;
    return new Map(who.map((agent) => [agent, [
      scale(network.at[agent][0], ends[0], box.left, box.right), scale(network.at[agent][1], ends[1], box.top, box.bottom),
    ]]));
  }
  const rx = (box.right - box.left) / 2, ry = (box.bottom - box.top) / 2;
  return new Map(who.map((agent, i) => {
    const turn = (2 * Math.PI * i) / n, lane = n > 64 && i % 2 ? 0.82 : 1;
    return [agent, [box.left + rx + lane * rx * Math.sin(turn), box.top + ry - lane * ry * Math.cos(turn)]];
  }));
}

// A bent arrow between two agents; a further one between the same two bends more.
function arrowPath([x1, y1], [x2, y2], r1, r2, bends, head) {
  const dx = x2 - x1, dy = y2 - y1, bend = 0.13 + 0.1 * Math.min(bends, 6);
  const mx = (x1 + x2) / 2 + dy * bend, my = (y1 + y2) / 2 - dx * bend;
  const toward = (ax, ay, bx, by, d) => { const l = Math.hypot(bx - ax, by - ay) || 1; return [ax + ((bx - ax) / l) * d, ay + ((by - ay) / l) * d]; };
  const [sx, sy] = toward(x1, y1, mx, my, r1), [tx, ty] = toward(x2, y2, mx, my, r2), [bx, by] = toward(tx, ty, mx, my, head);
  const [ux, uy] = [(tx - bx) / head, (ty - by) / head], w = head * 0.45, points = [[tx, ty], [bx - uy * w, by + ux * w], [bx + uy * w, by - ux * w]];
  const text = (p) => p.map((v) => v.toFixed(1)).join(",");
  return { curve: `M${text([sx, sy])}Q${text([mx, my])} ${text([bx, by])}`, head: `M${points.map(text).join("L")}Z` };
}

function agentNode(data, log, agent, [x, y], radius, held, box, named) {
  const { agents, archetypes } = log.episode, [shape, color] = styleOf(data, archetypes[agent]), words = held ? Object.keys(held).join(" and ") : "";
  const node = s("g", { tabindex: 0, role: "button", "data-agent": agent, "aria-label": `${agents[agent]}, ${archetypes[agent]}${words ? `, ${words}` : ""}` },
    s("circle", { class: "aura", cx: x, cy: y, r: radius + 9, fill: "#E69F00" }));
  if (held && held.quarantined !== undefined) {
    node.append(s("g", { "data-mark": "quarantined" }, s("rect", { x: x - radius - 6, y: y - radius - 6, width: 2 * radius + 12, height: 2 * radius + 12, fill: "#fff", stroke: RED, "stroke-width": 2.5, "stroke-dasharray": "5 3" })));
  }
  node.append(s("path", { d: outline(shape, x, y, radius), fill: color, stroke: "#fff", "stroke-width": 1.2 }));
  if (held && held.frozen !== undefined) {
    const bx = x + radius * 0.85, by = y - radius * 0.85, flake = [0, 60, 120].map((a) => { const c = 6 * Math.cos((a * Math.PI) / 180), k = 6 * Math.sin((a * Math.PI) / 180); return `M${bx - c},${by - k}L${bx + c},${by + k}`; }).join("");
    node.append(s("g", { "data-mark": "frozen" }, s("circle", { cx: x, cy: y, r: radius + 4, fill: "none", stroke: ICE, "stroke-width": 4 }),
      s("circle", { cx: bx, cy: by, r: 8, fill: "#fff", stroke: FROST }), s("path", { d: flake, stroke: FROST, "stroke-width": 1.8 })));
  }
  if (named) {
    const right = x > (box.left + box.right) / 2 + 8, left = x < (box.left + box.right) / 2 - 8, most = named;
    const at = left ? { x: x - radius - 9, "text-anchor": "end" } : right ? { x: x + radius + 9 } : { x, "text-anchor": "middle" };
    node.append(s("text", { ...at, y: left || right ? y + 4 : y < (box.top + box.bottom) / 2 ? y - radius - 10 : y + radius + 20, "font-size": 12, fill: INK, stroke: "#fff", "stroke-width": 3, "paint-order": "stroke" }, cut(agents[agent], most)));
  }
  return node;
}

function dealNode(data, log, row, path, size) {
  const t = log.episode.settled, names = log.episode.agents, color = pColor(t.p[row], data.pColors), status = t.status[row];
  return s("g", { tabindex: 0, role: "button", "data-deal": row, "data-status": data.statuses[status], "aria-label": `${names[t.a[row]]} to ${names[t.b[row]]}, ${data.statuses[status]}, p ${show(t.p[row], 2)}` },
    s("path", { class: "aura", d: path.curve, fill: "none", stroke: "#E69F00", "stroke-width": size * 3 + 6, "stroke-linecap": "round" }),
    s("path", { d: path.curve, fill: "none", stroke: "#000", "stroke-opacity": 0, "stroke-width": 16, "pointer-events": "stroke" }),
    s("path", { d: path.curve, fill: "none", stroke: color, "stroke-width": size, "stroke-dasharray": STROKES[status] }),
    s("path", { d: path.head, fill: status ? "#fff" : color, stroke: color, "stroke-width": 1.4, "stroke-linejoin": "round" }));
}

// The picture, with its key below; `width` in pixels of the screen, so that words keep their size.
function drawStage(data, log, step, mode, width) {
  const t = log.episode.settled, deals = log.settlements(step), held = log.held(step), count = log.episode.agents.length;
  const active = new Set([...deals.flatMap((row) => [t.a[row], t.b[row]]), ...log.marks(step).map((row) => log.episode.marks.agent[row])]);
  const who = count <= EVERYBODY ? log.episode.agents.map((_, i) => i) : [...active].sort((a, b) => a - b);
  const named = who.length <= 24 ? Math.max(6, Math.floor(width / 34)) : 0, longest = named ? Math.min(named, Math.max(...who.map((i) => log.episode.agents[i].length))) : 0;
  const side = 26 + longest * 6.6, high = Math.round(Math.min(Math.max(width * 0.72, 300), 520)), key = stageKey(data, log, width);
  const box = { left: side, right: width - side, top: 42, bottom: high - 42 };
  const svg = s("svg", { width, height: high + key.height, viewBox: `0 0 ${width} ${high + key.height}`, "font-family": FONT, role: "group", "aria-label": `Market at step ${step}` },
    s("rect", { width, height: high + key.height, fill: "#fff" }));
  const at = places(log, mode, who, box), radius = Math.max(3, Math.min(13, (0.8 * Math.PI * (box.bottom - box.top)) / Math.max(who.length, 1) / 2)), edge = radius + 5;
  if (log.episode.network) {
    const d = log.episode.network.edges.filter(([a, b]) => at.has(a) && at.has(b)).map(([a, b]) => `M${at.get(a).map(Math.round)}L${at.get(b).map(Math.round)}`).join("");
    if (d) svg.append(s("path", { d, stroke: "#aab2bb", "stroke-width": 0.9, fill: "none", "data-edges": "" }));
  }
  const seen = new Map(), size = Math.max(1.3, Math.min(3, 14 / Math.sqrt(deals.length + 1)));
  for (const row of deals) {
    const pair = `${t.a[row]} ${t.b[row]}`, repeat = seen.get(pair) || 0;
    seen.set(pair, repeat + 1);
    svg.append(dealNode(data, log, row, arrowPath(at.get(t.a[row]), at.get(t.b[row]), edge, edge + 2, repeat, 6 + size * 2), size));
  }
  for (const agent of who) svg.append(agentNode(data, log, agent, at.get(agent), radius, held.get(agent), box, named));
  if (who.length < count) svg.append(label(8, 16, `${who.length} of ${count} agents: those who act in this step`, { fill: QUIET }));
  key.node.setAttribute("transform", `translate(0 ${high})`);
  svg.append(key.node);
  return svg;
}

function stageKey(data, log, width) {
  const node = s("g", { "aria-hidden": "true" }), wide = Math.min(220, width - 120), x = 30;
  for (let i = 0; i < 40; i++) node.append(s("rect", { x: x + (wide * i) / 40, y: 6, width: wide / 40 + 0.5, height: 9, fill: pColor((i + 0.5) / 40, data.pColors) }));
  node.append(label(10, 15, "p", { "font-style": "italic" }));
  [0, 0.5, 1].forEach((v) => node.append(label(x + wide * v, 29, String(v), { "text-anchor": "middle", fill: QUIET })));
  const entries = [
    ...data.statuses.map((text, i) => ({ text, color: INK, dash: STROKES[i] })), { text: "frozen", color: ICE, shape: "o", hollow: true }, { text: "quarantined", color: RED, shape: "s", hollow: true },
    ...[...new Set(log.episode.archetypes)].slice(0, 12).map((text) => ({ text, color: styleOf(data, text)[1], shape: styleOf(data, text)[0] })),
  ];
  const lines = legendLines(entries, width - 20);
  lines.forEach((line, i) => line.forEach((entry) => node.append(legendMark(entry, 10 + entry.x, 52 + 18 * i))));
  return { node, height: 62 + 18 * lines.length };
}
