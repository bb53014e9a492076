// The figures of a page: each is a title, a note, and draw(width) -> svg, drawn again whenever its width changes.
function figure(options) {
  const art = h("div", { class: "art" }), title = options.title;
  const heading = h("h3", { class: options.control && !options.broad ? "unseen" : null }, title());
  const caption = h("figcaption", {}, options.note || "");
  const node = h("figure", { class: options.broad ? "broad" : null, "data-figure": options.kind },
    h("div", { class: "bar" }, heading, options.control || null, ...downloads(title, options.draw, options.broad ? 1000 : 700)), art, caption);
  const redraw = () => {
    const width = Math.max(280, Math.round(art.clientWidth));
    heading.textContent = title();
    art.replaceChildren(options.draw(width));
  };
  let wide = 0;
  new ResizeObserver(() => {
    if (Math.abs(art.clientWidth - wide) < 2) return;
    wide = art.clientWidth;
    redraw();
  }).observe(art);
  return { node, redraw };
}

const FIRST_CURVES = ["toxicity_rate", "net_social_welfare", "quality_gap", "acceptance_rate"];

// Curves of any metric by epoch (or training step), a line for each run, its band ± sd over seeds.
function curvePanels(data, along) {
  const runs = data.curves.filter((run) => run.along === along);
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))];
  const filled = names.filter((name) => runs.some((run) => (entry(run.metrics, name) || { mean: [] }).mean.some((v) => v !== null)));
  const wanted = along === "epoch" ? FIRST_CURVES : ["episode/return", "market/toxicity_rate", "market/net_social_welfare", "loss/value_loss"];
  const first = [...wanted.filter((name) => filled.includes(name)), ...filled.filter((name) => !wanted.includes(name))].slice(0, 4);
  const several = runs.some((run) => run.n > 1);
  // most updates of a training see no episode end: what they leave undefined is passed over
  const joined = ({ x, metrics }, name) => {
    const curve = entry(metrics, name), kept = curve ? x.map((_, i) => i).filter((i) => along === "epoch" || curve.mean[i] !== null) : [];
    return curve && { x: kept.map((i) => x[i]), mean: kept.map((i) => curve.mean[i]), sd: kept.map((i) => curve.sd[i]) };
  };
  const note = along === "step" ? "Values as logged, joined over updates without one." : several ? "Mean over seeds, band ± sample sd; gaps are undefined." : "One seed, so no band; gaps are undefined.";
  return first.map((start, k) => {
    let metric = start;
    const draw = (width) => {
      const shown = runs.map((run, i) => ({ run, style: lineStyle(data, i), curve: joined(run, metric) })).filter((one) => one.curve);
      const values = shown.flatMap(({ curve }) => curve.mean.flatMap((v, i) => v === null ? [] : [v - (curve.sd[i] || 0), v + (curve.sd[i] || 0)]));
      const legend = shown.map(({ run, style }) => ({ text: `${run.label}${run.n > 1 ? ` (${run.n} seeds)` : ""}`, ...style }));
      const f = frame({
        width, height: 300 + 18 * Math.max(0, shown.length - 2), legend, title: `${metric} by ${along}`, wholeX: true,
        x: extent(shown.flatMap(({ run }) => run.x), 0.01), y: extent(values), xLabel: along, yLabel: metric,
      });
      for (const { style, curve } of shown) drawCurve(f, curve.x, curve, style);
      return f.svg;
    };
    const control = h("select", { "aria-label": `Metric of curve ${k + 1}` }, ...names.map((name) => h("option", { value: name }, name)));
    control.value = start;
    const panel = figure({ kind: `curve-${along}`, title: () => `${metric} by ${along}`, note, control, draw });
    control.addEventListener("change", () => { metric = control.value; panel.redraw(); });
    return panel.node;
  });
}

// Safety against welfare; the front joins the means that no other beats in both.
function paretoFigure(data, plot) {
  const draw = (width) => {
    const all = plot.points;
    const f = frame({
      width, height: 380, title: `Safety against welfare, ${plot.title}`,
      x: extent(all.flatMap((p) => [...p.x, ...p.seeds.map((seed) => seed[0])])), y: extent(all.flatMap((p) => [...p.y, ...p.seeds.map((seed) => seed[1])])),
      xLabel: "safety: 1 − toxicity_rate →", yLabel: `net_social_welfare ${plot.unit} →`,
      legend: [...all.map((p, i) => ({ text: p.label, color: data.colors[i % data.colors.length], shape: POINTS[i % POINTS.length] })),
        ...(all.length > 1 ? [{ text: "Pareto front", color: QUIET, dash: "4 3" }] : [])],
    });
    const best = all.filter((p) => !all.some((q) => q !== p && q.x[0] >= p.x[0] && q.y[0] >= p.y[0] && (q.x[0] > p.x[0] || q.y[0] > p.y[0])));
    best.sort((a, b) => a.x[0] - b.x[0]);
    if (all.length > 1) f.plot.append(s("path", { d: "M" + best.map((p) => `${f.sx(p.x[0])},${f.sy(p.y[0])}`).join("L"), fill: "none", stroke: QUIET, "stroke-dasharray": "4 3", "data-front": best.length }));
    all.forEach((p, i) => {
      const color = data.colors[i % data.colors.length], [x, xl, xh] = p.x, [y, yl, yh] = p.y;
      for (const [a, b] of p.seeds) if (a !== null && b !== null) f.plot.append(s("circle", { cx: f.sx(a), cy: f.sy(b), r: 2, fill: color, "fill-opacity": 0.4 }));
      if (xl !== null) f.plot.append(s("line", { x1: f.sx(xl), x2: f.sx(xh), y1: f.sy(y), y2: f.sy(y), stroke: color, "stroke-width": 1.4 }));
      if (yl !== null) f.plot.append(s("line", { x1: f.sx(x), x2: f.sx(x), y1: f.sy(yl), y2: f.sy(yh), stroke: color, "stroke-width": 1.4 }));
      f.plot.append(s("path", { d: outline(POINTS[i % POINTS.length], f.sx(x), f.sy(y), 7), fill: color, stroke: "#fff", "data-point": "" },
        s("title", {}, `${p.label}: safety ${show(x)}, welfare ${show(y)}`)));
    });
    return f.svg;
  };
  return figure({
    kind: "pareto", title: () => `Safety against welfare: ${plot.title}`, draw,
    note: "Up and right is better. Large: means with 95 % bootstrap intervals over seeds; small: seeds.",
  }).node;
}
