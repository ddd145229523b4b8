import t from "tap";
import { cpio, kernel, places } from "../support/linted.ts";

t.test("scripts name files beside them, and only what must be there is missed", async (t) => {
  const files = { "debian/linux": kernel("6.1.0"), "debian/initrd.gz": cpio(["init"]) };
  const good = `#!ipxe
dhcp || goto failed
kernel debian/linux initrd=initrd.magic quiet
initrd --name initrd.magic debian/initrd.gz
imgargs linux quiet
chain --autofree http://example.org/next.ipxe ||
chain \${net0/mac}.ipxe
chain gone.ipxe || goto failed
boot
:failed
shell
`;
  t.same(await places({ ...files, "boot.ipxe": good }), []);
  t.same(
    await places({
      ...files,
      "boot.ipxe": "#!ipxe\nkernel linux\ninitrd debian/initrd.gz\nchain --replace next.ipxe\n",
    }),
    ["missing-file boot.ipxe:2", "missing-file boot.ipxe:4"],
  );
  t.same(await places({ ...files, "sub/boot.ipxe": "#!ipxe\nkernel /debian/linux\n" }), []);
  t.same(await places({ ...files, notes: "kernel gone\n" }), [], "no script");
});
