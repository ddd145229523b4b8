import t from "tap";
import { automounts, isAutomounters, processGroup } from "../../../lib/fs/mounting/automount.ts";
import { parseMountinfo } from "../../../lib/fs/mounting/mountinfo.ts";

const MOUNTS = parseMountinfo(`21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:30 / /srv/tftp rw,relatime shared:2 - autofs systemd-1 rw,fd=29,pgrp=1,timeout=0,minproto=5,maxproto=5,direct
23 21 0:31 / /srv/pxe rw,relatime shared:3 - autofs /etc/auto.pxe rw,fd=6,pgrp=812,minproto=5,maxproto=5,direct
24 23 0:32 / /srv/pxe ro,relatime shared:4 - fuse.icfs one ro,user_id=0
25 21 0:33 / /outside rw,relatime - autofs systemd-1 rw,fd=30,pgrp=0,timeout=0,minproto=5,maxproto=5,direct
26 21 0:34 / /other rw,relatime - tmpfs other rw,pgrp=77
`);

t.test("finds the automounts that wait to be opened", async (t) => {
  t.same(automounts(MOUNTS), ["/srv/tftp", "/outside"]);
});

t.test("an automounter's process group", async (t) => {
  for (const group of [1, 812]) t.equal(isAutomounters(group, MOUNTS), true, `${group}`);
  for (const group of [8, 77]) t.equal(isAutomounters(group, MOUNTS), false, `${group}`);
  t.equal(
    isAutomounters(0, MOUNTS),
    false,
    "group 0, which is in another process namespace, is never an automounter's",
  );
});

t.test("a process's group is found, whatever the process is called", async (t) => {
  t.equal(processGroup("4154 (sh) S 4084 4083 4083 0 -1\n"), 4083);
  t.equal(processGroup("4154 (a) R 1 (b) S 4084 12 12 0 -1\n"), 12);
});
