import t from "tap";
import { defaultMountOptions, fuseArgument, modeOf } from "../../../lib/fs/mounting/fuse-options.ts";

const options = { ...defaultMountOptions("aaaaa-aa"), allowOther: true };

t.test("modes", async (t) => {
  const octal = (kind: "file" | "directory" | "symlink", executable: boolean, more = {}) =>
    modeOf({ kind, executable }, { ...options, ...more }).toString(8);
  t.equal(octal("file", false), "100444");
  t.equal(octal("file", true), "100555");
  t.equal(octal("directory", false), "40555");
  t.equal(octal("symlink", false), "120777");
  t.equal(octal("file", true, { fileMode: 0o440 }), "100550", "the execute bits follow the read bits");
  t.equal(octal("file", true, { fileMode: 0o600 }), "100700");
  t.equal(octal("directory", false, { dirMode: 0o750 }), "40750");
  t.equal(
    octal("file", false, { fileMode: 0o104755 }),
    "100755",
    "only the permission bits of the option are used",
  );
});

t.test("the options for libfuse", async (t) => {
  const list = fuseArgument(options, false).slice(2).split(",");
  for (const option of ["ro", "nosuid", "nodev", "noexec", "default_permissions", "allow_other"]) {
    t.ok(list.includes(option), option);
  }
  t.notOk(list.includes("nonempty"));
  t.ok(fuseArgument(options, true).split(",").includes("nonempty"));
  t.notOk(fuseArgument({ ...options, allowOther: false }, false).includes("allow_other"));
});

t.test("a source cannot smuggle in an option, and is refused if it is too long", async (t) => {
  t.match(fuseArgument({ ...options, source: "a,rw\\" }, false), ",fsname=a\\,rw\\\\,");
  t.throws(() => fuseArgument({ ...options, source: "a\nb" }, false), /control character/);
  t.throws(() => fuseArgument({ ...options, context: "a:b:c" }, false), /--context needs --transport kernel/);
  t.throws(() => fuseArgument({ ...options, source: "ö".repeat(450) }, false), /too long/);
});
