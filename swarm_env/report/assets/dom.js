// Elements, numbers and downloads. What comes from files reaches the page as text nodes and attributes only.
const INK = "#1d232b", QUIET = "#59636e", LINE = "#d5dae0", FONT = "system-ui, 'Segoe UI', 'Liberation Sans', Arial, sans-serif";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value);
  }
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// An entry of a table from a file: names such as "constructor" are no entries of every table.
const entry = (table, name) => (Object.hasOwn(table, name) ? table[name] : undefined);

// A number as it is shown: four digits, a real minus; undefined is a dash.
function show(value, places) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  let text;
  if (places !== undefined) text = value.toFixed(places);
  else if (Number.isInteger(value) && Math.abs(value) < 1e9) text = String(value);
  else text = String(Number(value.toPrecision(4)));
  return text.replace("-", "\u2212");
}

// Text that fits: names from files can be of any length.
function cut(text, most) {
  const letters = [...String(text)];
  return letters.length <= most ? letters.join("") : letters.slice(0, most - 1).join("") + "…";
}

function hexChannels(color) { return [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16)); }

// Colour of p in 0..1 on the project's vermilion - grey - blue scale.
function pColor(p, stops) {
  const at = Math.min(Math.max(p, 0), 1) * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2);
  const [low, high] = [hexChannels(stops[i]), hexChannels(stops[i + 1])];
  return "#" + low.map((c, k) => Math.round(c + (high[k] - c) * (at - i)).toString(16).padStart(2, "0")).join("");
}

// Outlines by matplotlib's letters, so that a picture of `render` and the player look alike.
function outline(shape, x, y, r) {
  const ring = (n, turn, inner) => {
    const count = inner ? 2 * n : n, points = [];
    for (let i = 0; i < count; i++) {
      const a = turn + (2 * Math.PI * i) / count, d = inner && i % 2 ? r * inner : r;
      points.push(`${(x + d * Math.sin(a)).toFixed(1)},${(y - d * Math.cos(a)).toFixed(1)}`);
    }
    return `M${points.join("L")}Z`;
  };
  const cross = (turn) => {
    const w = r * 0.36, path = [[-w, -r], [w, -r], [w, -w], [r, -w], [r, w], [w, w], [w, r], [-w, r], [-w, w], [-r, w], [-r, -w], [-w, -w]];
    const c = Math.cos(turn), k = Math.sin(turn);
    return "M" + path.map(([a, b]) => `${(x + a * c - b * k).toFixed(1)},${(y + a * k + b * c).toFixed(1)}`).join("L") + "Z";
  };
  switch (shape) {
    case "s": return ring(4, Math.PI / 4);
    case "D": return ring(4, 0);
    case "^": return ring(3, 0);
    case "v": return ring(3, Math.PI);
    case "p": return ring(5, 0);
    case "h": return ring(6, 0);
    case "8": return ring(8, Math.PI / 8);
    case "*": return ring(5, 0, 0.45);
    case "P": return cross(0);
    case "X": return cross(Math.PI / 4);
    default: return `M${x - r},${y}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0Z`;
  }
}

function save(blob, name) {
  const address = URL.createObjectURL(blob), link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function svgBlob(svg) {
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new Blob(['<?xml version="1.0" encoding="UTF-8"?>\n', new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" });
}

// A PNG of three times the size on screen: 300 dots an inch at 18 cm.
function savePng(svg, name) {
  const address = URL.createObjectURL(svgBlob(svg)), image = new Image();
  const width = Number(svg.getAttribute("width")), height = Number(svg.getAttribute("height"));
  image.onload = () => {
    const canvas = h("canvas", { width: 3 * width, height: 3 * height }), pen = canvas.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(address);
    canvas.toBlob((blob) => save(blob, name), "image/png");
  };
  image.src = address;
}

const fileName = (title, ending) => (title.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 60) || "figure") + ending;

// Buttons that download what `draw(width)` draws, at a width that suits a page.
function downloads(title, draw, width) {
  return ["SVG", "PNG"].map((kind) => h("button", {
    type: "button", class: "small", "aria-label": `Download ${title()} as ${kind}`, "data-download": kind.toLowerCase(),
    click: () => {
      const svg = draw(width || 700);
      if (kind === "SVG") save(svgBlob(svg), fileName(title(), ".svg"));
      else savePng(svg, fileName(title(), ".png"));
    },
  }, kind));
}
