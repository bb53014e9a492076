"""The governance levers, one file each; `swarm_env.core.governance` puts them in order."""
