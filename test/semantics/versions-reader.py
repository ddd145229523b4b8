"""
Reads a flipping tree for so many seconds, and says what it saw: versions-reader.py MOUNTPOINT SECONDS SEED

For longer than that where a busy machine has not let it see much yet.
"""
import json, mmap, os, random, sys, time

root, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
end = time.monotonic() + seconds
seen, reads, problems = set(), 0, []
# The last version that was read of each path; and how many names `names` has, all of which contain the version.
newest = {}
NAMES = 2000


def check(what, data, version):
    """Every byte is of one version; returns which."""
    if not data:
        return version
    if data.count(data[0]) != len(data):
        problems.append(f"{what}: versions {sorted(set(data))} in one read")
    if version is not None and data[0] != version:
        problems.append(f"{what}: version {data[0]} after {version}")
    return data[0] if version is None else version


def read_some(name):
    global reads
    path = os.path.join(root, name)
    flags = os.O_RDONLY | (os.O_DIRECT if chance.random() < 0.15 else 0)
    file = os.open(path, flags)
    how = "direct" if flags & os.O_DIRECT else "read"
    try:
        size = os.fstat(file).st_size
        version = None
        area = None
        for _ in range(chance.randrange(1, 30)):
            if how == "read" and chance.random() < 0.3:
                area = area or mmap.mmap(file, size, prot=mmap.PROT_READ)
                start = chance.randrange(size)
                data = area[start : start + chance.randrange(1, 200_000)]
                version = check(f"{name} by mmap", data, version)
            else:
                start = chance.randrange(size + 10)
                length = chance.randrange(1, 300_000)
                if how == "direct":
                    start, length = start // 4096 * 4096, (length // 4096 + 1) * 4096
                    buffer = mmap.mmap(-1, length)
                    got = os.preadv(file, [buffer], start)
                    data = buffer[:got]
                else:
                    data = os.pread(file, length, start)
                if len(data) != max(0, min(length, size - start)):
                    problems.append(f"{name}: {len(data)} bytes of {length} at {start} of {size} ({how})")
                version = check(f"{name} by {how}", data, version)
            reads += 1
            if chance.random() < 0.2:
                time.sleep(chance.random() * 0.2)
        if version is not None:
            seen.add(version)
            # Versions are counted modulo 256.
            if name != "constant" and (version - newest.setdefault(name, version)) % 256 > 128:
                problems.append(f"{name}: version {version}, and it has been {newest[name]} before")
            newest[name] = version
        if name == "constant" and version not in (0, None):
            problems.append(f"constant has changed to {version}")
        if area:
            area.close()
    finally:
        os.close(file)


def list_names():
    names = os.listdir(os.path.join(root, "names"))
    versions = {name.split("-")[0] for name in names}
    if len(names) != NAMES or len(versions) != 1:
        problems.append(f"{len(names)} names of the versions {sorted(versions)} in one listing")
    # The listing itself tells the kernel which inodes these names have.
    for directory in (root, os.path.join(root, "dir")):
        for entry in os.scandir(directory):
            entry.stat()


while (time.monotonic() < end or reads <= 20 or len(seen) <= 3) and len(problems) < 5:
    if chance.random() < 0.15:
        list_names()
    else:
        read_some(chance.choice(["changing", "dir/changing", "constant"]))
print(json.dumps({"reads": reads, "versions": len(seen), "problems": problems}))
