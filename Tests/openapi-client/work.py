"""Works with the manager by what openapi-python-client made of its document, and nothing else."""

import os

from trunkline_client import AuthenticatedClient
from trunkline_client.api.groups import (
    delete_groups_group,
    get_groups,
    get_groups_group,
    post_groups,
    post_groups_group_start,
    post_groups_group_stop,
)
from trunkline_client.api.history import get_events
from trunkline_client.api.machines import get_machines
from trunkline_client.models import EventPage, Group, GroupPage, MachinePage, Problem, Record

RECORD = {
    "group": "edge",
    "service": "voice",
    "software": "kamailio@5.6.3",
    "machines": {"count": 2, "platform": "none", "labels": {"site": "den"}},
    "env": {"SIP_PORT": {"expression": "5060 + machine.index"}},
}


def expect(value, kind):
    assert isinstance(value, kind), f"{kind.__name__} was expected, and came: {value}"
    return value


with AuthenticatedClient(base_url=os.environ["TRUNKLINE_SERVER"], token=os.environ["TRUNKLINE_TOKEN"]) as client:
    made = expect(post_groups.sync(client=client, body=Record.from_dict(RECORD), idempotency_key="one"), Group)
    again = expect(post_groups.sync(client=client, body=Record.from_dict(RECORD), idempotency_key="one"), Group)
    assert made.name == again.name == "edge" and made.revision == again.revision == 1
    wrong = expect(post_groups.sync(client=client, body=Record.from_dict(RECORD | {"service": "?"})), Problem)
    assert wrong.diagnostics, wrong
    assert [group.name for group in expect(get_groups.sync(client=client), GroupPage).items] == ["edge"]

    started = expect(post_groups_group_start.sync("edge", client=client), Group)
    assert started.status.desired == 2, started
    for query in [{"state": "running,failed"}, {"label": ["site=den"]}, {"q": "edge"}, {"group": "edge"}]:
        assert expect(get_machines.sync(client=client, **query), MachinePage).items == [], query
    expect(get_machines.sync(client=client, state="runing"), Problem)

    events = expect(get_events.sync(client=client, kind="group.*"), EventPage).items
    assert [event.kind for event in events] == ["group.created", "group.started"], events
    assert [event.kind for event in expect(get_events.sync(client=client, last=1, group="edge"), EventPage).items] == [
        "group.started"
    ]

    # A live view has no end: its head and its first event are enough.
    with client.get_httpx_client().stream("GET", "/v1/watch", headers={"Accept": "text/event-stream"}) as stream:
        assert stream.status_code == 200
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("data:"))

    expect(post_groups_group_stop.sync("edge", client=client), Group)
    removed = delete_groups_group.sync_detailed("edge", client=client)
    assert removed.status_code in (200, 204), removed
    expect(get_groups_group.sync("edge", client=client), Problem)
print("openapi-client: created, read, watched and removed a group")
