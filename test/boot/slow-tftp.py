"""A TFTP client as boot ROMs are: blocks of 512 bytes, each acknowledged, by RFC 1350. It can be slow.

slow-tftp.py ADDRESS [--slow] NAME...: fetches the files one after the other and prints a line of JSON for each: its SHA-256 and its
length, or the server's error. With --slow it takes a moment for each block of the first one, says {"blocks": HOW MANY} it has, and
hurries on from when a line comes on stdin.
"""
import hashlib, json, select, socket, struct, sys

ADDRESS, *names = sys.argv[1:]
slow = names[0] == "--slow"
if slow:
    del names[0]
# Shorter than what servers wait for before they send a block again.
PACE_S = 0.3
SECONDS = 60
BLOCK = 512


def dawdle():
    """Until a line comes, or the pace says go on: whether to stay slow."""
    if select.select([sys.stdin], [], [], PACE_S)[0]:
        sys.stdin.readline()
        return False
    return True


def fetch(name, slow):
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
        client.sendto(struct.pack("!HH", 4, number), server)
        if len(packet) < 4 + BLOCK and number == (expected - 1) % 65536:
            return {"sha256": whole.hexdigest(), "bytes": length}


for i, name in enumerate(names):
    print(json.dumps({"name": name, **fetch(name, slow and i == 0)}), flush=True)
