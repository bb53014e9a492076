// A plot's frame: scales, ticks, grid, labels, legend. Every style is an attribute, so that an export stands alone.
function niceTicks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= raw * 0.999) || 10 * power, ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

function tickText(value) {
  const size = Math.abs(value);
  if (size >= 1e6 && size < 1e9) return show(value / 1e6) + "M";
  if (size >= 1e9 || (size > 0 && size < 1e-3)) return value.toExponential(1).replace("-", "\u2212");
  if (size >= 1e4) return show(value / 1000) + "k";
  return show(value);
}

// Ends of a scale that holds all values with some room; a flat one gets a width.
function extent(values, room = 0.06) {
  let low = Infinity, high = -Infinity;
  for (const v of values) if (v !== null && Number.isFinite(v)) { if (v < low) low = v; if (v > high) high = v; }
  if (low > high) return [0, 1];
  if (high - low < 1e-12 * Math.max(1, Math.abs(high))) { const w = Math.abs(high) * 0.1 || 0.5; return [low - w, high + w]; }
  return [low - room * (high - low), high + room * (high - low)];
}

const label = (x, y, text, more) => s("text", { x, y, "font-size": 12, fill: INK, ...more }, text);

// Legend entries {text, color, dash, shape} below the plot, in as many lines as they need.
function legendLines(entries, width) {
  const lines = [[]];
  let x = 0;
  for (const entry of entries) {
    const text = cut(entry.text, Math.max(12, Math.floor((width - 40) / 7))), wide = 42 + text.length * 6.9;
    if (x > 0 && x + wide > width) { lines.push([]); x = 0; }
    lines[lines.length - 1].push({ ...entry, text, x });
    x += wide;
  }
  return lines;
}

// options: width, height, x, y (ends), xLabel, yLabel, legend, names (of rows, instead of ticks on y), title
function frame(options) {
  const { width, names } = options, legend = legendLines((options.legend || []).slice(0, 24), width - 20);
  const below = 46 + ((options.legend || []).length ? legend.length * 18 + 4 : 0);
  const longest = names ? Math.min(Math.max(...names.map((n) => n.length), 4), Math.floor(width / 22)) : 0;
  const box = { left: names ? 16 + longest * 7 : 62, right: width - 24, top: 12, bottom: options.height - below };
  const sx = (v) => box.left + ((v - options.x[0]) / (options.x[1] - options.x[0])) * (box.right - box.left);
  const sy = (v) => box.bottom - ((v - options.y[0]) / (options.y[1] - options.y[0])) * (box.bottom - box.top);
  const svg = s("svg", {
    width, height: options.height, viewBox: `0 0 ${width} ${options.height}`, "font-family": FONT, role: "img",
    "aria-label": options.title || options.yLabel || "figure",
  }, s("rect", { width, height: options.height, fill: "#fff" }));
  for (const v of niceTicks(options.x[0], options.x[1], (box.right - box.left) / 70)) {
    if (options.wholeX && !Number.isInteger(v)) continue;
    svg.append(s("line", { x1: sx(v), x2: sx(v), y1: box.top, y2: box.bottom, stroke: LINE, "stroke-width": 0.7 }));
    svg.append(label(sx(v), box.bottom + 16, tickText(v), { "text-anchor": "middle" }));
  }
  if (names) names.forEach((name, i) => svg.append(label(box.left - 8, sy(i) + 4, cut(name, longest), { "text-anchor": "end" })));
  else for (const v of niceTicks(options.y[0], options.y[1], (box.bottom - box.top) / 42)) {
    svg.append(s("line", { x1: box.left, x2: box.right, y1: sy(v), y2: sy(v), stroke: LINE, "stroke-width": 0.7 }));
    svg.append(label(box.left - 7, sy(v) + 4, tickText(v), { "text-anchor": "end" }));
  }
  svg.append(s("path", { d: `M${box.left},${box.top}V${box.bottom}H${box.right}`, fill: "none", stroke: INK }));
  svg.append(label((box.left + box.right) / 2, box.bottom + 35, cut(options.xLabel || "", Math.floor(width / 7)), { "text-anchor": "middle" }));
  if (!names) {
    const middle = (box.top + box.bottom) / 2, text = cut(options.yLabel || "", Math.floor((box.bottom - box.top) / 6.4));
    svg.append(label(15, middle, text, { "text-anchor": "middle", transform: `rotate(-90 15 ${middle})` }));
  }
  legend.forEach((line, i) => line.forEach((entry) => svg.append(legendMark(entry, 10 + entry.x, box.bottom + 56 + 18 * i))));
  const plot = s("g", {});
  svg.append(plot);
  return { svg, plot, sx, sy, box };
}

function legendMark(entry, x, y) {
  const mark = entry.shape
    ? s("path", { d: outline(entry.shape, x + 11, y - 4, 6), fill: entry.hollow ? "#fff" : entry.color, stroke: entry.color })
    : s("line", { x1: x, x2: x + 22, y1: y - 4, y2: y - 4, stroke: entry.color, "stroke-width": entry.thick || 2.2, "stroke-dasharray": entry.dash });
  return s("g", {}, mark, label(x + 28, y, entry.text));
}

// A line with gaps where it is undefined, a band mean ± sd, and a dot wherever a value stands alone.
function drawCurve(f, x, curve, style) {
  const defined = (i) => curve.mean[i] !== null && curve.mean[i] !== undefined;
  let line = "", run = [], wide = [];
  const band = () => {  // over neighbours that all have a sd: one seed alone has none
    if (wide.length > 1) {
      const up = wide.map((i) => `${f.sx(x[i]).toFixed(1)},${f.sy(curve.mean[i] + curve.sd[i]).toFixed(1)}`);
      const down = wide.map((i) => `${f.sx(x[i]).toFixed(1)},${f.sy(curve.mean[i] - curve.sd[i]).toFixed(1)}`).reverse();
      f.plot.prepend(s("path", { d: `M${up.concat(down).join("L")}Z`, fill: style.color, "fill-opacity": 0.16, "data-band": "" }));
    }
    if (wide.length === 1) {
      const [i] = wide, [top, bottom] = [curve.mean[i] + curve.sd[i], curve.mean[i] - curve.sd[i]].map(f.sy);
      f.plot.prepend(s("line", { x1: f.sx(x[i]), x2: f.sx(x[i]), y1: top, y2: bottom, stroke: style.color, "stroke-opacity": 0.3, "stroke-width": 4, "data-bar": "" }));
    }
    wide = [];
  };
  const end = () => {
    band();
    if (run.length === 1) f.plot.append(s("circle", { cx: f.sx(x[run[0]]), cy: f.sy(curve.mean[run[0]]), r: 2.2, fill: style.color }));
    run = [];
  };
  x.forEach((at, i) => {
    if (!defined(i)) return end();
    if (curve.sd[i] === null || curve.sd[i] === undefined) band();
    else wide.push(i);
    line += `${run.length ? "L" : "M"}${f.sx(at).toFixed(1)},${f.sy(curve.mean[i]).toFixed(1)}`;
    run.push(i);
  });
  end();
  f.plot.append(s("path", { d: line || "M0,0", fill: "none", stroke: style.color, "stroke-width": 1.9, "stroke-dasharray": style.dash, "stroke-linejoin": "round" }));
}

const DASHES = [null, "7 3", "2 3", "9 3 2 3"];
const lineStyle = (data, i) => ({ color: data.colors[i % data.colors.length], dash: DASHES[Math.floor(i / 2) % 4] });
const POINTS = ["o", "s", "^", "D", "v", "p", "h", "X", "P"];
