import t from "tap";
import {
  isMounted,
  isMountedThere,
  type Mount,
  mountAt,
  parseMountinfo,
  readMounts,
} from "../../../lib/fs/mounting/mountinfo.ts";

const TEXT = `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
22 21 0:21 / /proc rw,nosuid - proc proc rw
43 21 0:39 / /srv/my\\040tftp\\134x ro,nosuid,nodev,noexec,relatime shared:5 master:2 - fuse.icfs aaaaa-aa\\04012 rw,user_id=0
50 21 0:40 / /a rw - tmpfs one rw
51 50 0:41 / /a rw - fuse.icfs two rw
this is not a mount
52 21 0:42 / /gr\u00f6\u00dfe rw - tmpfs \\043 rw
`;

t.test("parses what the kernel writes", async (t) => {
  const mounts = parseMountinfo(TEXT);
  t.equal(mounts.length, 6);
  t.same(mounts[0], {
    id: 21,
    parent: 1,
    device: "8:1",
    root: "/",
    mountpoint: "/",
    options: ["rw", "relatime"],
    type: "ext4",
    source: "/dev/sda1",
    superOptions: ["rw", "errors=remount-ro"],
  });
  t.same(mounts[2], {
    id: 43,
    parent: 21,
    device: "0:39",
    root: "/",
    mountpoint: "/srv/my tftp\\x",
    options: ["ro", "nosuid", "nodev", "noexec", "relatime"],
    type: "fuse.icfs",
    source: "aaaaa-aa 12",
    superOptions: ["rw", "user_id=0"],
  });
  t.match(mounts[5], { mountpoint: "/größe", source: "#" });
  t.same(parseMountinfo(""), []);
});

t.test("finds the topmost mount at a path", async (t) => {
  const mounts = parseMountinfo(TEXT);
  t.equal(mountAt(mounts, "/srv/my tftp\\x")?.id, 43);
  t.equal(mountAt(mounts, "/a")?.source, "two");
  t.equal(mountAt([...mounts].reverse(), "/a")?.source, "two", "the order of the list does not matter");
  t.equal(mountAt(mounts, "/")?.id, 21);
  t.equal(mountAt(mounts, "/srv"), undefined);
});

t.test("tells a mount from another with the same id", async (t) => {
  const mounts = parseMountinfo(TEXT);
  const mount = mountAt(mounts, "/a") as Mount;
  t.equal(isMounted(mounts, mount), true);
  t.equal(isMounted([], mount), false);
  t.equal(isMounted([{ ...mount, device: "0:99" }], mount), false);
  t.equal(isMounted([{ ...mount, type: "tmpfs" }], mount), false);
  t.equal(isMounted([{ ...mount, source: "another" }], mount), false);
  t.equal(isMounted([{ ...mount, mountpoint: "/moved" }], mount), true, "a moved mount is still mounted");
  t.equal(isMountedThere(mounts, mount), true);
  t.equal(
    isMountedThere([{ ...mount, mountpoint: "/elsewhere" }], mount),
    false,
    "a moved mount is no longer at its old mountpoint",
  );
});

t.test("reads this host's mounts", async (t) => {
  t.ok(mountAt(await readMounts(), "/proc"));
});
