# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""
Two hosts for tests that know of one device.

    namespace py-a                  namespace py-b
    py-a on veth py-a ============= veth py-b with py-b on it
    10.7.0.1                        10.7.0.2

rdma-core's tests make both of their players on the same device, in one process. The
RDMA subsystem shares its devices between network namespaces, so that process may have
the devices of both: install() changes the classes that the tests are built from. The
first player gets the one device, the second the other one; the address handle of each
leads to the other's GID; the connection manager's two processes go to the two hosts.
"""

import ctypes
import functools
import os
import pathlib
import subprocess

DEVICES = ("py-a", "py-b")
ADDRESSES = ("10.7.0.1", "10.7.0.2")
CLONE_NEWNET = 0x40000000
GIDS = 16  # more than two addresses make


def sh(command):
    subprocess.run(["bash", "-ec", command], check=True)


def up():
    sh("ip link add py-a type veth peer name py-b")
    for name, address in zip(DEVICES, ADDRESSES):
        sh(f"""
        ip netns add {name}
        ip link set {name} netns {name}
        in_ns="ip netns exec {name}"
        $in_ns bash -c 'echo 0 | tee /proc/sys/net/ipv6/conf/{{all,default,{name}}}/accept_dad >/dev/null'
        $in_ns ip link set lo up
        $in_ns ip link set {name} up
        $in_ns ip addr add {address}/24 dev {name}
        $in_ns rdma link add {name} type mirage netdev {name}""")


def down():
    """The devices first: a netdev that goes takes its device along, and its peer."""
    for command in ("rdma link delete", "ip netns delete"):
        for name in DEVICES:
            sh(f"{command} {name}")


def counter(device, name):
    path = pathlib.Path(f"/sys/class/infiniband/{device}/ports/1/hw_counters")
    # The kernel caches the counters for a while unless it is told not to.
    (path / "lifespan").write_text("0")
    return int((path / name).read_text())


def packets():
    """Sent by both devices so far."""
    return sum(counter(device, "tx_packets") for device in DEVICES)


def other_gids():
    """{GID of one device: the other's of the same index}"""
    from pyverbs.device import Context
    tables = []
    for device in DEVICES:
        with Context(name=device) as context:
            tables.append([context.query_gid(1, i).gid for i in range(GIDS)])
    a, b = tables
    return dict(zip(a, b)) | dict(zip(b, a))


def cross_routes():
    """What a test routes to its own GID goes to the other device's of that index."""
    import pyverbs.addr
    others = other_gids()

    class CrossRoute(pyverbs.addr.GlobalRoute):
        def __init__(self, dgid=None, **rest):
            super().__init__(dgid=pyverbs.addr.GID(others.get(dgid.gid, dgid.gid)), **rest)

    pyverbs.addr.GlobalRoute = CrossRoute


def take_turns(base):
    """Of the players of one test, the devices in turn."""
    set_up = base.RDMATestCase.setUp

    def restart(test):
        set_up(test)
        base.BaseResources.players = 0

    def create_context(player):
        player.dev_name = DEVICES[base.BaseResources.players % 2]
        base.BaseResources.players += 1
        player.ctx = base.Context(name=player.dev_name)

    base.RDMATestCase.setUp = restart
    base.BaseResources.create_context = create_context


def enter(device):
    with open(f"/run/netns/{device}") as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {device}")


def part_processes(base):
    """The passive process of a connection is on the second host. Both were told of the
    first one's address only."""
    import tests.base_rdmacm as base_rdmacm
    import tests.rdmacm_utils as rdmacm_utils
    from pyverbs.cmid import AddrInfo
    traffic = base.RDMACMBaseTest.two_nodes_rdmacm_traffic
    me = None

    def set_up(test):
        base.RDMATestCase.setUp(test)
        test.ip_addr = ADDRESSES[0]

    def on_host(flow, passive=None, **rest):
        nonlocal me
        me = int(passive)
        enter(DEVICES[me])
        return flow(passive=passive, **rest)

    def two_hosts(test, resources, flow, **rest):
        return traffic(test, resources, functools.partial(on_host, flow), **rest)

    def addr_info(src=None, dst=None, **rest):
        if src == ADDRESSES[0]:
            src = ADDRESSES[me]
        if dst == ADDRESSES[0]:
            dst = ADDRESSES[1 - me]
        return AddrInfo(src=src, dst=dst, **rest)

    base.RDMACMBaseTest.setUp = set_up
    base.RDMACMBaseTest.two_nodes_rdmacm_traffic = two_hosts
    base_rdmacm.AddrInfo = rdmacm_utils.AddrInfo = addr_info


def install():
    """Before the first test is loaded."""
    cross_routes()
    import tests.base as base
    take_turns(base)
    part_processes(base)
