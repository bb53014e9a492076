// Distributions of returns, payoffs by archetype: one row a name, grouped by run or policy; one scale a scenario.
function quantile(sorted, q) {
  const at = (sorted.length - 1) * q, i = Math.floor(at);
  return sorted[i] + ((sorted[i + 1] ?? sorted[i]) - sorted[i]) * (at - i);
}

const styleOf = (data, name) => entry(data.styles, name) || entry(data.styles, name.replace(/_\d+$/, "")) || ["o", "#0072B2"];

const grouped = (entries) => {
  const groups = new Map();
  for (const entry of entries) groups.set(entry.of, [...(groups.get(entry.of) || []), entry]);
  return [...groups];
};

// Boxes (quartiles, whiskers to the extremes) under dots.
function returnsFigure(data, of, entries) {
  const draw = (width) => {
    const rows = entries.slice(0, 60);
    const f = frame({
      width, height: 70 + 34 * rows.length, title: `Returns, ${of}`, names: rows.map((row) => row.name),
      x: extent(data.returns.filter((row) => row.scale === rows[0].scale).flatMap((row) => row.values)), y: [rows.length - 0.4, -0.6], xLabel: "return of an episode",
    });
    rows.forEach((row, i) => {
      const values = row.values.filter((v) => v !== null).sort((a, b) => a - b), [shape, color] = styleOf(data, row.name), y = f.sy(i);
      if (!values.length) return;
      const [q1, q2, q3] = [0.25, 0.5, 0.75].map((q) => f.sx(quantile(values, q)));
      if (values.length > 1) {
        f.plot.append(s("line", { x1: f.sx(values[0]), x2: f.sx(values[values.length - 1]), y1: y, y2: y, stroke: color }));
        f.plot.append(s("rect", { x: q1, width: Math.max(q3 - q1, 1), y: y - 9, height: 18, fill: color, "fill-opacity": 0.18, stroke: color, "data-box": "" }));
        f.plot.append(s("line", { x1: q2, x2: q2, y1: y - 9, y2: y + 9, stroke: color, "stroke-width": 2.5 }));
      }
      const every = Math.ceil(values.length / 400);
      values.forEach((v, k) => {
        if (k % every === 0) f.plot.append(s("path", { d: outline(shape, f.sx(v), y + (((k * 7) % 5) - 2) * 2.4, 3.4), fill: color, "fill-opacity": 0.75, stroke: "#fff", "stroke-width": 0.5 }));
      });
    });
    return f.svg;
  };
  const rest = entries.length > 60 ? ` The first 60 of ${entries.length} rows.` : "";
  return figure({ kind: "returns", title: () => `Return distributions: ${of}`, draw, note: `Dots: an agent (or policy) and seed each; box: quartiles, line: range.${rest}` }).node;
}

// Mean return of an agent of each archetype, with its interval.
function rolesFigure(data, of, entries) {
  const draw = (width) => {
    const rows = entries.slice(0, 60);
    const f = frame({
      width, height: 70 + 30 * rows.length, title: `Payoffs by archetype, ${of}`, names: rows.map((row) => row.name),
      x: extent([0, ...data.roles.filter((row) => row.scale === rows[0].scale).flatMap((row) => row.value)]), y: [rows.length - 0.4, -0.6], xLabel: "mean return of an agent, per episode",
    });
    f.plot.append(s("line", { x1: f.sx(0), x2: f.sx(0), y1: f.box.top, y2: f.box.bottom, stroke: INK, "stroke-width": 0.8 }));
    rows.forEach((row, i) => {
      const [mean, low, high] = row.value, [shape, color] = styleOf(data, row.name), y = f.sy(i);
      if (mean === null) return;
      f.plot.append(s("rect", { x: Math.min(f.sx(0), f.sx(mean)), width: Math.abs(f.sx(mean) - f.sx(0)), y: y - 8, height: 16, fill: color, "fill-opacity": 0.3 }));
      if (low !== null) f.plot.append(s("path", { d: `M${f.sx(low)},${y - 5}v10m0,-5H${f.sx(high)}m0,-5v10`, stroke: INK, fill: "none", "stroke-width": 1.3 }));
      f.plot.append(s("path", { d: outline(shape, f.sx(mean), y, 6), fill: color, stroke: "#fff" }, s("title", {}, `${row.name}: ${show(mean)}`)));
    });
    return f.svg;
  };
  return figure({ kind: "roles", title: () => `Payoffs by archetype: ${of}`, draw, note: "Mean over the archetype's agents and over seeds; 95 % bootstrap interval over seeds." }).node;
}

// What an agent of each archetype earned epoch by epoch.
function payoffsFigure(data, of, entries) {
  const styles = entries.map((entry, i) => ({ color: styleOf(data, entry.name)[1], dash: DASHES[i % 4] }));
  const draw = (width) => {
    const values = entries.flatMap((e) => e.mean.flatMap((v, i) => v === null ? [] : [v - (e.sd[i] || 0), v + (e.sd[i] || 0)]));
    const f = frame({
      width, height: 320, title: `Payoff by epoch, ${of}`, wholeX: true, x: extent(entries.flatMap((e) => e.x), 0.01), y: extent([0, ...values]),
      xLabel: "epoch", yLabel: "payoff of an agent", legend: entries.map((e, i) => ({ text: e.name, ...styles[i] })),
    });
    f.plot.append(s("line", { x1: f.box.left, x2: f.box.right, y1: f.sy(0), y2: f.sy(0), stroke: INK, "stroke-width": 0.8 }));
    entries.forEach((e, i) => drawCurve(f, e.x, e, styles[i]));
    return f.svg;
  };
  return figure({ kind: "payoffs", title: () => `Payoff by archetype and epoch: ${of}`, draw, note: "Rewards of the epoch, penalties and tasks included; mean over the archetype's agents, band ± sd over seeds." }).node;
}
