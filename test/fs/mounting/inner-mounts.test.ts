/** The paths of a mount on which something else is mounted, by the kernel's tables. test/semantics/others.test.ts has real ones. */
import t from "tap";
import { pathsWithin } from "../../../lib/fs/mounting/inner-mounts.ts";
import { parseMountinfo } from "../../../lib/fs/mounting/mountinfo.ts";

const tmpfs = "rw - tmpfs tmpfs rw";
const icfs = "ro - fuse.icfs aaaaa-aa ro";

t.test("paths start at the root of the file system, wherever it is mounted", async (t) => {
  const mounts = parseMountinfo(`21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:39 / /srv/tftp ${icfs}
31 30 0:50 / /srv/tftp/local\\040files ${tmpfs}
32 31 0:51 / /srv/tftp/local\\040files/below ${tmpfs}
33 30 0:52 / /srv/tftp ${tmpfs}
34 21 0:39 /boot/amd64 /exports ${icfs}
35 34 8:1 /home /exports/home rw - ext4 /dev/sda1 rw
36 34 0:53 / /exports ${tmpfs}
37 21 0:54 / /srv/tftp-other ${tmpfs}
38 21 0:40 / /another ${icfs}
39 38 0:55 / /another/local ${tmpfs}
40 21 0:39 /gone//deleted /bound ${icfs}
41 40 0:56 / /bound/local ${tmpfs}
`);
  t.same(pathsWithin(mounts, "0:39"), [
    { id: 31, path: "local files", what: "0:50 /" },
    { id: 35, path: "boot/amd64/home", what: "8:1 /home" },
    // On the root of a bind mount, which is not the root of its file system.
    { id: 36, path: "boot/amd64", what: "0:53 /" },
    { id: 41, path: "gone/deleted/local", what: "0:56 /" },
  ]);
  const container = parseMountinfo(`50 1 0:39 / / ${icfs}\n51 50 0:60 / /proc rw - proc proc rw\n`);
  t.same(pathsWithin(container, "0:39"), [{ id: 51, path: "proc", what: "0:60 /" }], "a container's root");
});
