// Who was held when, and what was found: bars for freezes and quarantines, marks for audits, violations, penalties.
const SIGNS = { audit: ["X", "#C44601", "failed audit"], violation: ["^", "#E69F00", "violation"], penalty: ["s", "#7B5EA7", "penalty"] };
const ICE = "#56B4E9", FROST = "#0A6EBD", RED = "#C00000";

function timelineFigure(data, episodes, seek) {
  let chosen = 0;
  const draw = (width) => {
    const episode = episodes[chosen], marks = episode.marks, wanted = new Map(Object.keys(SIGNS).map((kind) => [data.kinds.indexOf(kind), kind]));
    const touched = new Set(episode.held.map((held) => held[0]));
    for (let i = 0; i < marks.step.length; i++) if (wanted.has(marks.kind[i])) touched.add(marks.agent[i]);
    const every = episode.agents.length <= 24 ? episode.agents.map((_, i) => i) : [...touched].sort((a, b) => a - b);
    const agents = every.slice(0, 60), row = new Map(agents.map((agent, i) => [agent, i]));
    const f = frame({
      width, height: 96 + 26 * Math.max(agents.length, 2), title: `Freezes and audits, ${episode.label}`, wholeX: true,
      names: agents.map((agent) => episode.agents[agent]), x: [-0.5, episode.last + 1], y: [agents.length - 0.4, -0.6], xLabel: `step (an epoch has ${episode.stepsPerEpoch})`,
      legend: [{ text: "frozen", color: ICE, thick: 9 }, { text: "quarantined", color: RED, thick: 4 },
        ...Object.values(SIGNS).map(([shape, color, text]) => ({ shape, color, text }))],
    });
    const epochs = Math.ceil((episode.last + 1) / episode.stepsPerEpoch);
    for (let e = 0; epochs <= 120 && e <= epochs; e++) {
      const x = f.sx(e * episode.stepsPerEpoch);
      f.plot.append(s("line", { x1: x, x2: x, y1: f.box.top, y2: f.box.bottom, stroke: LINE, "stroke-dasharray": "2 3" }));
    }
    for (const [agent, kind, from, to] of episode.held) {
      if (!row.has(agent)) continue;
      const x = f.sx(from), wide = Math.max(f.sx(to + 1) - x, 2), y = f.sy(row.get(agent));
      f.plot.append(s("rect", kind
        ? { x, width: wide, y: y - 3, height: 5, fill: RED, "data-held": "quarantined" }
        : { x, width: wide, y: y - 9, height: 18, fill: ICE, "fill-opacity": 0.55, stroke: FROST, "data-held": "frozen" },
      s("title", {}, `${episode.agents[agent]} ${kind ? "quarantined" : "frozen"}, steps ${from} to ${to}`)));
    }
    const drawn = new Set();  // one sign a pixel is enough
    for (let i = 0; i < marks.step.length; i++) {
      const kind = wanted.get(marks.kind[i]);
      if (!kind || !row.has(marks.agent[i])) continue;
      const x = f.sx(marks.step[i] + 0.5), y = f.sy(row.get(marks.agent[i])) + { audit: 0, violation: -6, penalty: 6 }[kind];
      const key = `${kind} ${marks.agent[i]} ${Math.round(x / 2)}`;
      if (drawn.has(key)) continue;
      drawn.add(key);
      f.plot.append(s("path", { d: outline(SIGNS[kind][0], x, y, 4.2), fill: SIGNS[kind][1], stroke: "#fff", "stroke-width": 0.6, "data-sign": kind }));
    }
    f.svg.addEventListener("click", (event) => {
      const place = f.svg.getBoundingClientRect(), x = ((event.clientX - place.left) / place.width) * width;
      const step = Math.floor(((x - f.box.left) / (f.box.right - f.box.left)) * (episode.last + 1.5) - 0.5);
      if (x >= f.box.left) seek(chosen, Math.max(0, Math.min(step, episode.last)));
    });
    return f.svg;
  };
  const control = h("select", { "aria-label": "Episode of the timeline" }, ...episodes.map((e, i) => h("option", { value: i }, e.label)));
  const panel = figure({
    kind: "timeline", broad: true, draw, control: episodes.length > 1 ? control : null, title: () => `Freezes and audits: ${episodes[chosen].label}`,
    note: "Only failed audits are logged. Click on a step to see it in the player.",
  });
  control.addEventListener("change", () => { chosen = Number(control.value); panel.redraw(); });
  return panel.node;
}
