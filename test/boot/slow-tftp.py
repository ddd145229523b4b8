"""A TFTP client that works as boot ROMs do: blocks of 512 bytes, each acknowledged, by RFC 1350. It can be slow.

slow-tftp.py ADDRESS [--slow|--break-off N] NAME...: fetches the files one after the other and prints a line of JSON for each: its SHA-256 and its
length, or the server's error. With --slow it prints {"blocks": NUMBER_SO_FAR} and pauses after each block of the first file, and goes on at
full speed once a line comes on stdin. With --break-off it ends every Nth transfer after the first block, by an error that it sends to the
server, and prints {"broken": true}.
"""
import hashlib, json, select, socket, struct, sys

ADDRESS, *names = sys.argv[1:]
slow = names[0] == "--slow"
if slow:
    del names[0]
break_off = 0
if names[0] == "--break-off":
    break_off = int(names[1])
    del names[:2]
# Shorter than a server's wait before it sends a block again.
PACE_S = 0.3
SECONDS = 60
BLOCK = 512


def dawdle():
    """Waits for the pace, or for a line on stdin. Returns whether to stay slow."""
    if select.select([sys.stdin], [], [], PACE_S)[0]:
        sys.stdin.readline()
        return False
    return True


def fetch(name, slow, broken):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(SECONDS)
    client.sendto(struct.pack("!H", 1) + name.encode() + b"\0octet\0", (ADDRESS, 69))
    whole, length, expected = hashlib.sha256(), 0, 1
    while True:
        packet, server = client.recvfrom(4 + BLOCK)
        kind, number = struct.unpack("!HH", packet[:4])
        if kind == 5:
            return {"error": f"{number}: {packet[4:].rstrip(bytes(1)).decode()}"}
        if number == expected % 65536:
            expected += 1
            whole.update(packet[4:])
            length += len(packet) - 4
            if slow:
                print(json.dumps({"blocks": number}), flush=True)
                slow = dawdle()
            if broken:
                client.sendto(struct.pack("!HH", 5, 0) + b"enough\0", server)
                return {"broken": True}
        client.sendto(struct.pack("!HH", 4, number), server)
        if len(packet) < 4 + BLOCK and number == (expected - 1) % 65536:
            return {"sha256": whole.hexdigest(), "bytes": length}


for i, name in enumerate(names):
    print(json.dumps({"name": name, **fetch(name, slow and i == 0, break_off and (i + 1) % break_off == 0)}), flush=True)
