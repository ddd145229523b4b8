"""
Reads a mount while signals come, and says which errors it got: errors-reader.py MOUNTPOINT PUBLISHED SECONDS SEED

For longer than that where a busy machine has not let it do much yet.
"""
import ctypes, errno, json, mmap, os, random, signal, sys, time

root, published, seconds, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
chance = random.Random(seed)
end = time.monotonic() + seconds
errors, problems, reads, signals = set(), [], 0, 0
FILES = ["large", "pieces", "dir/file", "small"]
content = {name: open(os.path.join(published, name), "rb").read() for name in FILES}
MOST = 300_000
# Python repeats a call after EINTR; the C library does not.
libc = ctypes.CDLL(None, use_errno=True)
libc.pread.restype = ctypes.c_ssize_t
area = mmap.mmap(-1, (MOST // 4096 + 2) * 4096)
address = ctypes.addressof(ctypes.c_char.from_buffer(area))


def count(*_):
    global signals
    signals += 1


def call(function, *arguments):
    """The result; None, and the error noted, when there is none."""
    result = function(*arguments)
    if result >= 0:
        return result
    errors.add(errno.errorcode[ctypes.get_errno()])
    return None


def read_some(name):
    global reads
    flags = chance.choice([os.O_RDONLY, os.O_RDONLY, os.O_DIRECT, os.O_NONBLOCK])
    file = call(libc.open, os.path.join(root, name).encode(), flags)
    if file is None:
        return
    want = content[name]
    for _ in range(chance.randrange(1, 6)):
        offset, length = chance.randrange(len(want) + 100), chance.randrange(1, MOST)
        if flags == os.O_DIRECT:
            offset, length = offset // 4096 * 4096, (length // 4096 + 1) * 4096
        got = call(libc.pread, file, ctypes.c_void_p(address), ctypes.c_size_t(length), ctypes.c_long(offset))
        if got is None:
            continue
        reads += 1
        # When a later page fails, the kernel returns the pages before it; a read of the rest gets the error.
        cut = 0 < got and (offset + got) % 4096 == 0
        expected = want[offset : offset + length]
        if area[:got] != (expected[:got] if cut else expected):
            problems.append(f"{name}: {got} bytes of {length} at {offset}, flags {flags}")
    # Otherwise everything would soon be in the page cache.
    libc.posix_fadvise(file, ctypes.c_long(0), ctypes.c_long(0), os.POSIX_FADV_DONTNEED)
    call(libc.close, file)


def look(name):
    """What a reader may do beside reading, and some things that he may not."""
    path = os.path.join(root, name)
    for work in (
        lambda: os.stat(path),
        lambda: os.listdir(root),
        lambda: os.getxattr(path, "user.icfs.release"),
        lambda: os.getxattr(path, "user.absent"),
        lambda: os.statvfs(root),
        lambda: os.stat(path + "-absent"),
        lambda: os.stat(path + "/below"),
        lambda: os.read(os.open(root + "/dir", os.O_RDONLY), 10),
        lambda: os.open(path, os.O_WRONLY),
        lambda: os.mkdir(path + "-new"),
    ):
        try:
            work()
        except OSError as error:
            errors.add(errno.errorcode[error.errno])


signal.signal(signal.SIGALRM, count)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)

def is_enough():
    return reads > 10 and signals > 10 and "EIO" in errors and "EROFS" in errors


while (time.monotonic() < end or not is_enough()) and len(problems) < 5:
    name = chance.choice(FILES)
    if chance.random() < 0.2:
        look(name)
    else:
        read_some(name)
signal.setitimer(signal.ITIMER_REAL, 0)
print(json.dumps({"errors": sorted(errors), "reads": reads, "signals": signals, "problems": problems}))
