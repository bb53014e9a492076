// The episode player: controls, keys, the picture of the step, what happened in words, and the payoff breakdown.
const SPEEDS = [["1 step a second", 1000], ["4 a second", 250], ["12 a second", 83]];
const LISTED = 200;  // events of a step that are put into words

function createPlayer(data, root) {
  let log = openLog(data, data.episodes[0]), step = 0, timer = null, chosen = null;
  let mode = log.episode.network ? "network" : "ring";
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  const stage = h("div", { class: "stage", "data-part": "stage" });
  const now = h("output", { class: "now", "data-part": "now" });
  const scrubber = h("input", { type: "range", min: 0, step: 1, "aria-label": "Step", "data-part": "scrubber", input: () => seek(Number(scrubber.value)) });
  const details = h("div", { class: "panel", "aria-live": "polite", "data-part": "details" });
  const happened = h("div", { class: "panel happened", tabindex: 0, role: "region", "aria-label": "What happened in this step", "data-part": "happened" });
  const button = (text, name, act, extra) => h("button", { type: "button", "aria-label": name, click: act, ...extra }, text);
  const play = button("▶ Play", "Play", toggle, { class: "main", "data-part": "play" });
  const layout = button("Ring", "Show agents on a ring", () => { mode = mode === "ring" ? "network" : "ring"; render(); }, { "data-part": "layout" });
  const speed = h("select", { "aria-label": "Speed", "data-part": "speed", change: () => timer && (pause(), start()) }, ...SPEEDS.map(([text, wait]) => h("option", { value: wait }, text)));
  speed.value = calm.matches ? 1000 : 250;
  const picker = h("select", { "aria-label": "Episode", "data-part": "episode", change: () => open(Number(picker.value), 0) }, ...data.episodes.map((e, i) => h("option", { value: i }, e.label)));
  const notice = h("p", { class: "notice", "data-part": "incomplete" });

  const box = h("div", { class: "player", role: "group", tabindex: 0, "aria-label": "Episode player. Arrow keys step, space plays, Home and End jump.", keydown: onKey, "data-part": "box" },
    h("div", { class: "bar" }, h("h3", {}, "Step by step"), picker, layout, ...downloads(() => `${log.episode.label} step ${step}`, (w) => drawStage(data, log, step, mode, w), 640)),
    notice,
    h("div", { class: "scrub" }, play,
      button("|◀", "First step", () => seek(0)), button("◀", "Step back", () => seek(step - 1)), button("▶", "Step forward", () => seek(step + 1)), button("▶|", "Last step", () => seek(log.episode.last)),
      button("Next incident", "Next step with an audit, a violation, a freeze, a quarantine or a release", () => incident(1), { "data-part": "incident" }), speed),
    h("div", { class: "scrub" }, scrubber, now),
    h("div", { class: "scene" }, stage, h("div", { class: "side" }, details, happened)),
    h("p", { class: "quiet" }, h("kbd", {}, "←"), " ", h("kbd", {}, "→"), " step, ", h("kbd", {}, "Page up"), " ", h("kbd", {}, "Page down"), " epoch, ", h("kbd", {}, "Home"), " ", h("kbd", {}, "End"), " ends, ", h("kbd", {}, "space"), " play, ", h("kbd", {}, "n"), " ", h("kbd", {}, "p"), " incidents. Point at an arrow or an agent, or reach it by ", h("kbd", {}, "Tab"), "."));
  root.append(box);

  function open(number, at) {
    pause();
    log = openLog(data, data.episodes[number]);
    picker.value = number;
    mode = log.episode.network ? "network" : "ring";
    seek(at);
  }

  function seek(to) {
    step = Math.max(0, Math.min(Math.round(to), log.episode.last));
    chosen = null;
    if (timer && step === log.episode.last) pause();
    render();
  }

  function start() {
    if (step >= log.episode.last) seek(0);
    timer = setInterval(() => seek(step + 1), Number(speed.value));
    play.textContent = "❚❚ Pause";
    play.setAttribute("aria-label", "Pause");
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶ Play";
    play.setAttribute("aria-label", "Play");
  }

  function toggle() { if (timer) pause(); else start(); }

  function incident(way) {
    const steps = log.incidents, next = way > 0 ? steps.find((at) => at > step) : [...steps].reverse().find((at) => at < step);
    if (next !== undefined) seek(next);
  }

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select")) return;
    const epoch = log.episode.stepsPerEpoch, keys = {
      ArrowRight: () => seek(step + 1), ArrowLeft: () => seek(step - 1), Home: () => seek(0), End: () => seek(log.episode.last),
      PageDown: () => seek(step + epoch), PageUp: () => seek(step - epoch), n: () => incident(1), p: () => incident(-1),
    };
    if (event.key === " " && !event.target.closest("button")) keys[" "] = toggle;
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }

  function render() {
    const within = stage.contains(document.activeElement), { episode } = log, epochs = Math.ceil(episode.planned / episode.stepsPerEpoch);
    stage.replaceChildren(drawStage(data, log, step, mode, Math.max(260, Math.round(stage.clientWidth))));
    if (within) box.focus({ preventScroll: true });
    now.textContent = `Step ${step} of ${episode.last}, epoch ${log.epoch(step)} of ${epochs - 1}`;
    scrubber.max = episode.last;
    scrubber.value = step;
    scrubber.setAttribute("aria-valuetext", now.textContent);
    layout.hidden = !episode.network;
    layout.textContent = mode === "ring" ? "Show network" : "Show ring";
    layout.setAttribute("aria-label", mode === "ring" ? "Show agents by their network" : "Show agents on a ring");
    notice.hidden = episode.complete;
    notice.textContent = `Incomplete: the log ends at step ${episode.last} of ${episode.planned - 1}.`;
    tell();
    inform(chosen);
    for (const node of stage.querySelectorAll("[data-deal],[data-agent]")) {
      const what = node.hasAttribute("data-deal") ? { deal: Number(node.dataset.deal) } : { agent: Number(node.dataset.agent) };
      node.addEventListener("mouseenter", () => inform(what));
      node.addEventListener("focus", () => { chosen = what; inform(what); });
      node.addEventListener("click", () => { chosen = what; inform(what); });
    }
  }

  // What happened, in words: those whom a picture does not reach read the same step.
  function tell() {
    const t = log.episode.settled, names = log.episode.agents, deals = log.settlements(step), marks = log.marks(step);
    const words = [...deals.map((row) => `${names[t.a[row]]} → ${names[t.b[row]]}: ${data.statuses[t.status[row]]}, p ${show(t.p[row], 2)}`), ...marks.map(log.sentence)];
    const count = `${deals.length} ${deals.length === 1 ? "dealing" : "dealings"} settled, ${marks.length} other ${marks.length === 1 ? "event" : "events"}`;
    happened.replaceChildren(h("strong", { "data-part": "count" }, count), h("ol", {}, ...words.slice(0, LISTED).map((text) => h("li", {}, text))),
      words.length > LISTED ? h("p", {}, `and ${words.length - LISTED} more`) : "");
  }

  function inform(what) {
    if (!what) details.replaceChildren(h("strong", {}, "Payoff breakdown"), h("p", {}, log.settlements(step).length ? "Point at an arrow, or reach it by Tab." : "No dealing was settled in this step."));
    else if (what.deal !== undefined) details.replaceChildren(...dealDetails(data, log, what.deal));
    else details.replaceChildren(...agentDetails(log, what.agent, step));
  }

  let wide = 0;
  new ResizeObserver(() => { if (Math.abs(stage.clientWidth - wide) > 1) { wide = stage.clientWidth; render(); } }).observe(stage);
  seek(0);
  return { open, box };
}

const GAP = {};
function rows(list) {
  const node = h("dl", {});
  for (const item of list) {
    if (item === GAP) { node.append(h("div", { class: "gap" })); continue; }
    const [name, a, b] = item;
    const alone = b === undefined;  // a value of both, or of neither side
    node.append(h("dt", {}, name), h("dd", { class: alone ? "both" : null }, a), h("dd", { hidden: alone ? "" : null }, alone ? "" : b));
  }
  return node;
}

function dealDetails(data, log, row) {
  const t = log.episode.settled, names = log.episode.agents, of = (name) => show(t[name][row]);
  return [
    h("strong", {}, `${names[t.a[row]]} → ${names[t.b[row]]}`),
    rows([
      ["status", data.statuses[t.status[row]]], ["conduct", t.conducts[t.conduct[row]]], GAP,
      ["p (as offered)", of("p"), of("p_offer")], ["signal, v_hat", of("signal"), of("v_hat")], ["outcome v", of("v")],
      ["progress, engagement", of("progress"), of("engagement")], ["rework, rejections, misuse", of("rework"), `${of("rejections")}, ${of("misuse")}`], GAP,
      ["", "initiator", "counterparty"], ["tau, received", show(-t.tau[row]), of("tau")], ["effort", of("effort"), ""],
      ...log.costs(row).map(([lever, a, b]) => [`cost: ${lever}`, show(a), show(b)]),
      ["costs c", of("c_a"), of("c_b")], ["reputation r", of("r_a"), of("r_b")],
      [t.status[row] ? "payoff it would have paid" : "payoff", of("payoff_a"), of("payoff_b")],
    ]),
  ];
}

function agentDetails(log, agent, step) {
  const { episode } = log, held = log.held(step).get(agent) || {}, standing = log.standing(agent, step);
  return [
    h("strong", {}, episode.agents[agent]),
    rows([
      ["archetype", episode.archetypes[agent]], ["earned so far", show(log.earned(agent, step))],
      ...Object.entries(held).map(([what, to]) => [what, `to step ${to}`]), GAP,
      ...(standing ? [["when epoch closed", show(standing.epoch)], ["reputation", show(standing.reputation)], ["resources", show(standing.resources)], ["collusion risk", show(standing.collusion_risk)], ["threat", show(standing.threat)]] : [["standing", "no epoch has closed yet"]]),
    ]),
  ];
}
