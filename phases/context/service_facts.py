"""What is asked of one host of a run about one of its services."""

from __future__ import annotations

from actions.common.route import docker_api
from actions.copy.ssh_channel import Peer
from checks.containers import state_paths
from engine.errors import ActionError, NotObservedError
from engine.finding import say
from phases.context.run_context import RunContext


def peer_of(context: RunContext, host: str) -> Peer:
    """Return a host as another host reaches it for a transfer."""
    identity = context.scope.environment.hosts[host]
    return Peer(host, identity.address, identity.ssh_host_key)


def read_changes(context: RunContext, host: str, container: str) -> tuple[state_paths.Change, ...]:
    """Return the changes of a container's writable layer, asked of the engine itself; raises CouldNotLookError."""
    doing = say("look for what changed in {container}", container=container)
    try:
        with docker_api(context.fleet, host, doing) as api:
            return state_paths.changes_of(api.diff(container))
    except ActionError as error:
        raise NotObservedError(
            say("{error}. Try: ssh {host} docker diff {container}", error=error, host=host, container=container)
        ) from error
