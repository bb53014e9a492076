// An episode's columns with an index by step, so that a step costs what happens in it, however long the log.
function starts(steps, last) {
  const first = new Int32Array(last + 2);
  for (const step of steps) first[step + 1]++;
  for (let i = 0; i <= last; i++) first[i + 1] += first[i];
  return first;
}

function openLog(data, episode) {
  const settled = starts(episode.settled.step, episode.last), marks = starts(episode.marks.step, episode.last);
  const charged = new Map();  // settlement -> [lever, c_a, c_b]
  for (const [lever, [rows, a, b]] of Object.entries(episode.costs)) {
    rows.forEach((row, i) => charged.set(row, [...(charged.get(row) || []), [lever, a[i], b[i]]]));
  }
  const range = (first, step) => Array.from({ length: first[step + 1] - first[step] }, (_, i) => first[step] + i);
  const kindOf = (row) => data.kinds[episode.marks.kind[row]];
  const incidents = [...new Set([
    ...episode.marks.step.filter((_, i) => ["audit", "violation", "freeze", "quarantine", "release"].includes(kindOf(i))),
    ...episode.held.map((held) => Math.min(held[2], episode.last)),
  ])].sort((a, b) => a - b);

  return {
    episode,
    kindOf,
    incidents,
    settlements: (step) => range(settled, step),
    marks: (step) => range(marks, step),
    costs: (row) => charged.get(row) || [],
    epoch: (step) => Math.floor(step / episode.stepsPerEpoch),
    held(step) {
      const held = new Map();
      for (const [agent, kind, from, to] of episode.held) {
        if (from <= step && step <= to) held.set(agent, { ...(held.get(agent) || {}), [kind ? "quarantined" : "frozen"]: to });
      }
      return held;
    },
    // reward up to and including a step: payoffs if accepted, else the costs; penalties and tasks
    earned(agent, step) {
      const t = episode.settled, m = episode.marks;
      let sum = 0;
      for (let i = 0; i < settled[step + 1]; i++) {
        if (t.a[i] === agent) sum += t.status[i] ? -t.c_a[i] : t.payoff_a[i];
        if (t.b[i] === agent) sum += t.status[i] ? -t.c_b[i] : t.payoff_b[i];
      }
      for (let i = 0; i < marks[step + 1]; i++) {
        if (m.agent[i] === agent && kindOf(i) === "task") sum += m.value[i];
        if (m.agent[i] === agent && kindOf(i) === "penalty") sum -= m.value[i];
      }
      return sum;
    },
    // standings as they were when the last epoch closed
    standing(agent, step) {
      const closed = Math.floor((step + 1) / episode.stepsPerEpoch) - 1, close = episode.closes[closed];
      return close && { epoch: closed, reputation: close.reputation[agent], resources: close.resources[agent], collusion_risk: close.collusion_risk[agent], threat: close.threat[agent] };
    },
    sentence(row) {
      const m = episode.marks, who = episode.agents[m.agent[row]], whom = episode.agents[m.target[row]], value = m.value[row];
      switch (kindOf(row)) {
        case "audit": return `${who} failed an audit`;
        case "violation": return `${who}: violation number ${value}`;
        case "freeze": return `${who} is frozen until epoch ${value} opens`;
        case "quarantine": return `${who} goes into quarantine until epoch ${value} opens`;
        case "release": return `${who} is released as the next epoch opens`;
        case "penalty": return `${who} loses ${show(value)} as a penalty`;
        case "proposal": return `${who} proposes to ${whom}, p ${show(value)}`;
        case "bounce": return `${who} finds ${whom} out of reach`;
        case "vote": return `${who} votes ${value > 0 ? "for" : "against"} ${whom}`;
        case "task": return `${who} does a task, paid ${show(value)}`;
        default: return `${who}: ${kindOf(row)}`;
      }
    },
  };
}
