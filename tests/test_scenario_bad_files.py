"""Bad scenarios: a line for each problem, with file, line, key, value, what is allowed and the way there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from swarm_env.scenario import load_scenario, yaml_text
from swarm_env.scenario.errors import ScenarioError

HEAD = "scenario_id: x\nagents: [{type: honest, count: 2}]\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

# (what the file says, where, what must be in the message)
FILES: dict[str, tuple[str | bytes, str, list[str]]] = {
    # keys
    "unknown key": (
        HEAD + "governance:\n  audit_probabilty: .5",
        ":4: governance.audit_probabilty: ",
        [
            "unknown key",
            "value 0.5",
            'did you mean "audit_probability"?',
            "allowed: ",
            " in all)",
        ],
    ),
    "unknown section": (
        HEAD + "payof: {}",
        ":3: payof: ",
        ['did you mean "payoff"?', "{}", "allowed: scenario_id"],
    ),
    "key of another section": (
        HEAD + "audit_enabled: true",
        ":3: audit_enabled: ",
        ["unknown key", "value true", 'it belongs under "governance"'],
    ),
    "key of the top level": (HEAD + "view: {motif: a}", ":3: view.motif: ", ["it belongs at the top level"]),
    "key in config": (
        "scenario_id: x\nagents:\n- type: honest\n  count: 2\n  config:\n    trust_wait: 1",
        ":6: agents.0.config.trust_wait: ",
        ['did you mean "trust_weight"?', "value 1", "interact_probability"],
    ),
    "unknown network parameter": (
        HEAD + "network: {params: {kk: 3}}",
        ":3: network.params.kk: ",
        ["unknown key", "value 3", "k_neighbors"],
    ),
    "missing key": ("agents: [{type: honest, count: 2}]", ": scenario_id: ", ["missing", "1 to 100 letters"]),
    # what SWARM has
    "SWARM section": (
        HEAD + "marketplace: {enabled: true}",
        ":3: marketplace: ",
        ["SWARM has this key", "enabled"],
    ),
    "SWARM governance": (
        HEAD + "governance: {sybil_detection_enabled: true}",
        ":3: governance.sybil_detection_enabled: ",
        ["SWARM has this key, swarm_env does not support it yet", "true", "allowed: "],
    ),
    "SWARM criterion": (
        HEAD + "success_criteria: {max_infiltration_rate: .2}",
        ":3: success_criteria.max_infiltration_rate: ",
        ["SWARM has this key", "0.2", "toxicity_threshold"],
    ),
    "SWARM topology": (
        HEAD + "network: {topology: custom}",
        ":3: network.topology: ",
        ['"custom"', "SWARM has this topology", "scale_free"],
    ),
    "SWARM archetype": (
        "scenario_id: x\nagents: [{type: ldt, count: 2}]",
        ":2: agents.0.type: ",
        ['"ldt"', "SWARM has this agent type", "one of honest"],
    ),
    "SWARM config": (
        "scenario_id: x\nagents: [{type: adversarial, count: 2, config: {aggression_level: .7}}]",
        ":2: agents.0.config.aggression_level: ",
        ["SWARM has this key", "0.7", "attack_probability"],
    ),
    "SWARM agent key": (
        "scenario_id: x\nagents: [{type: honest, count: 2, llm: {model: m}}]",
        ":2: agents.0.llm: ",
        ["SWARM has this key", '{model: "m"}'],
    ),
    # values
    "above range": (
        HEAD + "governance: {audit_probability: 1.5}",
        ":3: governance.audit_probability: ",
        ["1.5 is out of range", "a number in [0, 1]"],
    ),
    "whole number out of range": (
        HEAD + "simulation:\n  seed: -1",
        ":4: simulation.seed: ",
        ["-1 is out of range", "a whole number in [0, 9223372036854775807]"],
    ),
    "open range": (
        HEAD + "governance: {max_vote_weight_per_agent: 0}",
        ":3: governance.max_vote_weight_per_agent: ",
        ["0 is out of range", "a number in (0, 1000000]"],
    ),
    "text for number": (
        HEAD + 'payoff: {h: "2"}',
        ":3: payoff.h: ",
        ['"2" has the wrong type, text', "no quotes", "a number in [0, 1000000]"],
    ),
    "underscore in number": (
        HEAD + "market: {initial_resources: 1_000}",
        ":3: market.initial_resources: ",
        ['"1_000"', "underscores"],
    ),
    "leading zero": (HEAD + "simulation: {seed: 0777}", ":3: simulation.seed: ", ['"0777"', "leading zeros"]),
    "fraction for whole number": (
        HEAD + "simulation: {n_epochs: 3.0}",
        ":3: simulation.n_epochs: ",
        ["3.0 has the wrong type", "as 3", "a whole number in [1, 100000]"],
    ),
    "boolean for number": (
        HEAD + "simulation: {n_epochs: true}",
        ":3: simulation.n_epochs: ",
        ["true has the wrong type, a boolean", "a whole number"],
    ),
    "yes for boolean": (
        HEAD + "governance: {audit_enabled: yes}",
        ":3: governance.audit_enabled: ",
        ['"yes"', "use true or false", "allowed: true or false"],
    ),
    "1 for boolean": (
        HEAD + "governance: {audit_enabled: 1}",
        ":3: governance.audit_enabled: ",
        ["1", "use true"],
    ),
    "number for text": (
        HEAD + "motif: 3",
        ":3: motif: ",
        ["3 has the wrong type", "put it in quotes", "text"],
    ),
    "null for number": (
        HEAD + "payoff: {h: }",
        ":3: payoff.h: ",
        ["null has the wrong type, nothing", "a number"],
    ),
    "list for section": (
        HEAD + "payoff: [1, 2]",
        ":3: payoff: ",
        ["[1, 2] has the wrong type, a list", "s_plus"],
    ),
    "section for list": (
        "scenario_id: x\nagents: {honest: 3}",
        ":2: agents: ",
        ["{honest: 3} has the wrong type, a section", "a list of at least one group"],
    ),
    "no groups": (
        "scenario_id: x\nagents:",
        ":2: agents: ",
        ["null has the wrong type", "a list of at least"],
    ),
    "entry of a list": (
        "scenario_id: x\nagents:\n- honest",
        ":3: agents.0: ",
        ['"honest" has the wrong type, text', "type, count, name, config"],
    ),
    "unknown archetype": (
        "scenario_id: x\nagents: [{type: honst, count: 2}]",
        ":2: agents.0.type: ",
        ['"honst" is no archetype', 'did you mean "honest"?', "one of honest, opportunistic"],
    ),
    "unknown topology": (
        HEAD + "network: {topology: small-world}",
        ":3: network.topology: ",
        ['"small-world" is not known', 'did you mean "small_world"?', "one of complete, ring"],
    ),
    "not finite": (HEAD + "payoff: {h: .nan}", ":3: payoff.h: ", [".nan is not finite", "finite numbers"]),
    "infinite": (HEAD + "payoff: {h: -.inf}", ":3: payoff.h: ", ["-.inf is not finite", "finite numbers"]),
    "overflow": (HEAD + "payoff: {h: 1e999}", ":3: payoff.h: ", ["1e999 is too large", "finite numbers"]),
    "huge integer": (
        HEAD + f"simulation: {{seed: {'9' * 5000}}}",
        ":3: simulation.seed: ",
        ["99999...", "too large", "64 bits"],
    ),
    "bad id": (
        "scenario_id: a b\nagents: []",
        ":1: scenario_id: ",
        ['"a b" is not allowed', "1 to 100 letters"],
    ),
    "control characters": (HEAD + 'motif: "\\e[2J"', ":3: motif: ", ['"\\u001b[2J"', "control characters"]),
    "bad name": (
        "scenario_id: x\nagents: [{type: honest, count: 2, name: 1st}]",
        ":2: agents.0.name: ",
        ['"1st" is not allowed', "a name of a-z"],
    ),
    # what only makes sense together
    "both spellings": (
        HEAD + "governance: {transaction_tax: .1, transaction_tax_rate: .2}",
        ":3: governance.transaction_tax_rate: ",
        ["0.2", "another spelling", "one of transaction_tax_rate, transaction_tax"],
    ),
    "k and k_neighbors": (
        HEAD + "network:\n  topology: small_world\n  params:\n    k: 4\n    k_neighbors: 6",
        ":7: network.params.k_neighbors: ",
        ["6", "another spelling", "params.k"],
    ),
    "params is no section": (
        HEAD + "network: {params: 3}",
        ":3: network.params: ",
        ["3 has the wrong type", "section"],
    ),
    "inert parameter": (
        HEAD + "network:\n  topology: ring\n  params: {k: 4}",
        ":5: network.params.k: ",
        ["4 would have no effect in topology ring", "leave it out"],
    ),
    "inert edge key": (
        HEAD + "network:\n  edge_decay_rate: 0.1",
        ":4: network.edge_decay_rate: ",
        ["0.1 would have no effect", "dynamic: false", "leave it out"],
    ),
    "edges that break": (
        HEAD + "network: {dynamic: true, min_edge_weight: 2}",
        ":3: network.min_edge_weight: ",
        ["2.0 is above max_edge_weight", "at most 1.0"],
    ),
    "too many steps": (
        HEAD + "simulation: {n_epochs: 100000, steps_per_epoch: 101}",
        ":3: simulation.n_epochs: ",
        ["10100000 steps", "at most 10000000"],
    ),
    "no weights": (
        HEAD + "market: {weights: {task_progress: 0, rework: 0, verifier: 0, engagement: 0}}",
        ":3: market.weights: ",
        ["all weights are 0", "above 0"],
    ),
    "one agent": ("scenario_id: x\nagents: [{type: honest}]", ":2: agents: ", ["1 agents", "2 to 1000000"]),
    "too many agents": (
        "scenario_id: x\nagents: [{type: honest, count: 1000000}, {type: honest}]",
        ":2: agents: ",
        ["1000001 agents", "2 to 1000000"],
    ),
    "market without network": (
        "scenario_id: x\nagents: [{type: honest, count: 257}]",
        ": network: ",
        ["257 agents need a network", "up to 256", "other than complete"],
    ),
    "network off": (
        "scenario_id: x\nagents: [{type: honest, count: 257}]\nnetwork: {enabled: false, topology: ring}",
        ":3: network: ",
        ["257 agents need a network"],
    ),
    "too many contacts": (
        "scenario_id: x\nagents: [{type: honest, count: 100000}]\nnetwork: {topology: random_erdos_renyi}",
        ":3: network: ",
        ["4999950000 contacts", "at most 50000000"],
    ),
    "shared name": (
        "scenario_id: x\nagents: [{type: honest}, {type: deceptive, name: honest}]",
        ":2: agents.1.name: ",
        ['"honest" is taken', "a name of its own"],
    ),
    "absolute path": (
        HEAD + "outputs: {event_log: /etc/x}",
        ":3: outputs.event_log: ",
        ['"/etc/x"', "log folder", "--out", "logs/name.csv"],
    ),
    "path with ..": (
        HEAD + "outputs: {metrics_csv: logs/../x}",
        ":3: outputs.metrics_csv: ",
        ["logs/../x", "--out"],
    ),
    "path elsewhere": (
        HEAD + "outputs: {metrics_csv: results/x}",
        ":3: outputs.metrics_csv: ",
        ["results/x", "--out"],
    ),
    "path of Windows": (
        HEAD + "outputs: {metrics_csv: 'logs/C:\\x'}",
        ":3: outputs.metrics_csv: ",
        ["--out"],
    ),
    "folder as path": (HEAD + "outputs: {event_log: logs/}", ":3: outputs.event_log: ", ["logs/", "--out"]),
    "one file for two": (
        HEAD + "outputs: {event_log: logs/x, metrics_csv: logs/x}",
        ":3: outputs.metrics_csv: ",
        ['"logs/x"', "also the event log"],
    ),
    # the text itself
    "empty": ("", ": ", ["is empty", "scenario_id"]),
    "blank": (" \n\n", ": ", ["is empty", "scenario_id"]),
    "only comments": ("# nothing\n", ": ", ["is empty", "scenario_id"]),
    "only a byte order mark": ("\ufeff", ": ", ["is empty", "scenario_id"]),
    "only null": ("---\n...\n", ": ", ["null is nothing, not a scenario", "keys with values"]),
    "a list": ("- a\n- b\n", ": ", ['["a", "b"] is a list, not a scenario', "keys with values"]),
    "a word": ("scenario", ": ", ['"scenario" is text, not a scenario', "keys with values"]),
    "binary": (b"\x7fELF\x02\x01\x00", ":1: ", ["is not text", "UTF-8 text"]),
    "not UTF-8": (b"scenario_id: caf\xe9\n", ": ", ["no UTF-8 at position 16", "UTF-8 text"]),
    "UTF-16": ("scenario_id: x".encode("utf-16"), ": ", ["no UTF-8 at position 0", "UTF-8 text"]),
    "control character": ("scenario_id: x\nmotif: \x07", ":2: ", ["is not text", "0x07", "UTF-8 text"]),
    "too large": (b"#" * (2**20 + 1), ": ", ["larger than", "at most 1048576 bytes"]),
    "duplicate key": (
        HEAD + "payoff:\n  h: 1\n  theta: 0\n  h: 2",
        ":6: payoff.h: ",
        ['"h" is given twice', "lines 4 and 6", "once"],
    ),
    "duplicate section": (HEAD + "agents: []", ":3: agents: ", ['"agents"', "twice, in lines 2 and 3"]),
    "alias bomb": (BOMB, ":5: ", ["too large", "aliases", "at most 100000"]),
    "alias inside itself": ("a: &a [*a]", ":1: a.0: ", ["*a stands inside itself", "above"]),
    "unknown alias": ("a: *b", ":1: a: ", ["*b is not defined", "above"]),
    "deep": ("a: " + "[" * 40 + "]" * 40, ":1: a.0.0", ["nested too deeply", "at most 32 levels"]),
    "deep by aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 40)),
        ":32: a31.0: ",
        ["nested too deeply", "at most 32 levels"],
    ),
    "two documents": (HEAD + "---\n" + HEAD, ":3: ", ["a second document", "one document"]),
    "Python tag": (
        "scenario_id: !!python/object/apply:os.system [echo]",
        ":1: scenario_id: ",
        ['"!!python/object/apply:os.system"', "not allowed", "!!str"],
    ),
    "tag that does not fit": ("scenario_id: !!int x", ":1: scenario_id: ", ['"!!int"', "where it fits"]),
    "tag of one's own": ("scenario_id: !mine x", ":1: scenario_id: ", ['"!mine"', "no tag"]),
    "merge key": (
        "a: &a {h: 1}\npayoff:\n  <<: *a",
        ":3: payoff: ",
        ['"<<"', "not supported", "written out"],
    ),
    "number as key": (HEAD + "1: x", ":3: 1 stands as a key", ["keys that are text"]),
    "boolean as key": (HEAD + "true: x", ":3: true stands as a key", ["keys that are text"]),
    "null as key": (HEAD + "~: x", ":3: null stands as a key", ["keys that are text"]),
    "list as key": (HEAD + "? [a]\n: x", ":3: a collection or alias stands as a key", ["keys that are text"]),
    "anchor on key": (HEAD + "&a motif: x", ":3: ", ['"motif" bears an anchor', "anchors on values"]),
    "unclosed bracket": (HEAD + "view: {inbox: 3", ":", ["not valid YAML at column", "allowed: YAML"]),
    "tab": ("agents:\n\t- type: honest", ":2: ", ["not valid YAML at column 1", "spaces, not tabs"]),
    "indentation": ("a:\n  b: 1\n c: 2", ":3: ", ['"c: 2" is not valid YAML', "column 2"]),
    "colon in value": ("description: a: b", ":1: ", ['"description: a: b"', "column 15"]),
    "escape": ('motif: "\\UFFFFFFFF"', ":", ["not valid YAML"]),
}


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("kind", FILES)
def test_bad_file(kind: str, loader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if loader == "CSafeLoader" and not yaml.__with_libyaml__:
        pytest.skip("PyYAML without libyaml")
    monkeypatch.setattr(yaml_text, "_LOADER", getattr(yaml, loader))
    text, where, parts = FILES[kind]
    file = tmp_path / "bad.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ScenarioError) as caught:
        load_scenario(file)
    error = caught.value
    first = str(error).splitlines()[0]
    if kind == "escape" and loader == "SafeLoader":
        where = ": "  # its scanner does not say where
    assert first.startswith(f"{file}{where}"), first
    for part in parts:
        assert part in first, f"{part!r} is not in: {first}"
    assert "allowed: " in first
    assert error.file == str(file)
