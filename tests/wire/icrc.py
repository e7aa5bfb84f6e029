#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Check the RoCEv2 packets of a capture with nothing of ours: icrc.py FILE.pcap MTU

Every packet's ICRC is computed anew (IBA volume 1, annex A17.3.3), its lengths are
compared with each other, and no payload may be larger than the path MTU. Prints a line
for what is wrong, then how many packets there were of each opcode, IPv4 and IPv6.
"""

import collections
import struct
import sys
import zlib

ROCE_PORT = 4791
ETH_IPV4, ETH_IPV6, ETH_VLAN = 0x0800, 0x86DD, 0x8100

# Extension headers after the BTH, by the low five bits of an RC or UC opcode.
RETH, ATOMIC, AETH, ATOMIC_ACK, IMM, IETH = 16, 28, 4, 8, 4, 4
EXTENSION = {
    0x03: IMM, 0x05: IMM, 0x06: RETH, 0x09: IMM, 0x0A: RETH, 0x0B: RETH + IMM, 0x0C: RETH,
    0x0D: AETH, 0x0F: AETH, 0x10: AETH, 0x11: AETH, 0x12: AETH + ATOMIC_ACK, 0x13: ATOMIC,
    0x14: ATOMIC, 0x16: IETH, 0x17: IETH, 0x1C: 4 + RETH, 0x1D: RETH,
}
XRC, UD = 5, 3
XRCETH, DETH = 4, 8
RESPONSES = range(0x0D, 0x13)

Packet = collections.namedtuple("Packet", "version masked udp_len bth payload_and_icrc")


def frames(path):
    with open(path, "rb") as f:
        magic = f.read(24)[:4]
        order = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<"}.get(magic)
        if not order:
            sys.exit(f"{path}: not a pcap file of this machine")
        while head := f.read(16):
            _, _, stored, length = struct.unpack(order + "IIII", head)
            data = f.read(stored)
            if stored != length:
                sys.exit(f"{path}: a frame of {length} bytes was captured cut to {stored}")
            yield data


def mask_ipv4(ip):
    ip = bytearray(ip)
    ip[1] = 0xFF                    # type of service
    ip[8] = 0xFF                    # time to live
    ip[10:12] = b"\xff\xff"         # checksum
    return bytes(ip)


def mask_ipv6(ip):
    ip = bytearray(ip)
    ip[0] |= 0x0F                   # traffic class, flow label
    ip[1:4] = b"\xff\xff\xff"
    ip[7] = 0xFF                    # hop limit
    return bytes(ip)


def parse(frame):
    """The RoCEv2 packet in a frame, a sentence on why it is none that can be, or None."""
    at = 12
    kind = struct.unpack_from("!H", frame, at)[0]
    if kind == ETH_VLAN:
        at += 4
        kind = struct.unpack_from("!H", frame, at)[0]
    at += 2
    if kind == ETH_IPV4:
        size, total, proto = (frame[at] & 15) * 4, struct.unpack_from("!H", frame, at + 2)[0], frame[at + 9]
        masked, version = mask_ipv4(frame[at:at + size]), 4
    elif kind == ETH_IPV6:
        size, proto = 40, frame[at + 6]
        total = 40 + struct.unpack_from("!H", frame, at + 4)[0]
        masked, version = mask_ipv6(frame[at:at + size]), 6
    else:
        return None
    if proto != 17:
        return None
    udp = frame[at + size:at + total]
    if len(udp) < 8 or struct.unpack_from("!H", udp, 2)[0] != ROCE_PORT:
        return None
    udp_len = struct.unpack_from("!H", udp, 4)[0]
    if udp_len != len(udp):
        return f"UDP length {udp_len}, IP says {len(udp)}"
    if udp_len < 8 + 12 + 4:
        return f"UDP length {udp_len}: no room for a BTH"
    bth = bytearray(udp[8:20])
    bth[4] = 0xFF                   # reserved: FECN, BECN
    masked = b"\xff" * 8 + masked + udp[:6] + b"\xff\xff" + bytes(bth)
    return Packet(version, masked, udp_len, udp[8:20], udp[20:])


def check(packet, mtu):
    body, icrc = packet.payload_and_icrc[:-4], packet.payload_and_icrc[-4:]
    want = struct.pack("<I", zlib.crc32(packet.masked + body))
    if icrc != want:
        return f"ICRC {icrc.hex()}, expected {want.hex()}"
    opcode, pad = packet.bth[0], packet.bth[1] >> 4 & 3
    transport, low = opcode >> 5, opcode & 31
    extension = DETH + (IMM if low == 5 else 0) if transport == UD else EXTENSION.get(low, 0)
    if transport == XRC and low not in RESPONSES:
        extension += XRCETH
    payload = len(body) - extension - pad
    if payload < 0:
        return f"opcode {opcode:#x} in {len(body)} bytes"
    if len(body) % 4:
        return f"opcode {opcode:#x}: {len(body)} bytes, not padded to 4"
    if payload > mtu:
        return f"opcode {opcode:#x}: a payload of {payload} bytes, the path MTU is {mtu}"
    return None


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    seen, wrong = collections.Counter(), 0
    for number, frame in enumerate(frames(sys.argv[1]), 1):
        packet = parse(frame)
        if packet is None:
            continue
        trouble = packet if isinstance(packet, str) else check(packet, int(sys.argv[2]))
        if trouble:
            wrong += 1
            if wrong <= 20:
                print(f"frame {number}: {trouble}")
        else:
            seen[packet.bth[0], packet.version] += 1
    for (opcode, version), n in sorted(seen.items()):
        print(f"opcode {opcode:#04x} IPv{version} {n}")
    print(f"{sum(seen.values())} right, {wrong} wrong")
    sys.exit(1 if wrong or not seen else 0)


if __name__ == "__main__":
    main()
