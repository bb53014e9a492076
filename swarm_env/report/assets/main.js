// Puts player and figures on the page, from the JSON embedded in it.
const data = JSON.parse(document.getElementById("data").textContent), plots = document.getElementById("plots");
const nodes = [
  ...curvePanels(data, "epoch"),
  ...curvePanels(data, "step"),
  ...data.pareto.map((plot) => paretoFigure(data, plot)),
  ...grouped(data.returns).map(([of, entries]) => returnsFigure(data, of, entries)),
  ...grouped(data.roles).map(([of, entries]) => rolesFigure(data, of, entries)),
  ...grouped(data.payoffs).map(([of, entries]) => payoffsFigure(data, of, entries)),
];
if (data.episodes.length) {
  document.getElementById("player-section").hidden = false;
  const player = createPlayer(data, document.getElementById("player"));
  nodes.push(timelineFigure(data, data.episodes, (episode, step) => {
    player.open(episode, step);
    player.box.scrollIntoView({ block: "start" });
    player.box.focus({ preventScroll: true });
  }));
}
if (data.leftOut.length) document.getElementById("player-section").hidden = false;
document.getElementById("figures").hidden = !nodes.length;
plots.append(...nodes);
for (const link of document.querySelectorAll("nav a")) link.hidden = document.querySelector(link.getAttribute("href")).hidden;
