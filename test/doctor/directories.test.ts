/** The directories of the cache and of the state: present or not, private or not, with free space or without. */
import { chmod, chown, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { cache, state } from "../../lib/doctor/directories.ts";
import { sh } from "../mount/mounts.ts";
import { exactly } from "../support/exactly.ts";
import { hostWith } from "../support/hosts.ts";

t.test("a missing directory is reported as possible to make, and is not made", async (t) => {
  const host = await hostWith(t, {});
  t.match(
    await cache.run(host),
    exactly({ level: "ok", message: /cache is not there yet, and can be made$/ }, { level: "ok" }),
  );
  t.match(
    await state.run(host),
    exactly({ level: "ok", message: /state is not there yet, and can be made$/ }),
  );
  t.same(await readdir(host.directory), []);
});

t.test("an existing directory must be private to this user", async (t) => {
  const host = await hostWith(t, { cache: null, state: null });
  const { cacheDirectory } = host;
  await chmod(cacheDirectory, 0o700);
  t.match(
    await cache.run(host),
    exactly({ level: "ok", message: `${cacheDirectory} can be written to` }, { level: "ok" }),
  );
  t.match(
    await state.run(host),
    exactly({ level: "ok", message: `${host.stateDirectory} can be written to` }),
  );
  await chmod(cacheDirectory, 0o770);
  await t.rejects(cache.run(host), { message: /others can write to .*: chmod 700 it/ });
  await chmod(cacheDirectory, 0o700);
  await chown(cacheDirectory, 65534, 65534);
  await t.rejects(cache.run(host), { message: /belongs to another user/ });
});

t.test("a directory cannot be made below a file or on a read-only file system", async (t) => {
  const host = await hostWith(t, { file: Buffer.from("x"), readonly: null });
  const below = join(host.directory, "file/cache");
  t.match(
    await cache.run({ ...host, cacheDirectory: below }),
    exactly({
      level: "fail",
      message: /file\/cache cannot be made in .*file: it is not a directory/,
      advice: /--cache-dir/,
    }),
  );
  t.match(
    await state.run({ ...host, stateDirectory: below }),
    exactly({ level: "fail", advice: /XDG_STATE_HOME/ }),
  );
  const readonly = join(host.directory, "readonly");
  t.teardown(() => sh("umount", readonly));
  t.equal((await sh("mount", "-t", "tmpfs", "-o", "ro", "icfs-test", readonly)).code, 0);
  t.match(
    await state.run({ ...host, stateDirectory: join(readonly, "state") }),
    exactly({ level: "fail", message: /cannot be made in .*readonly: EROFS/ }),
  );
});

t.test("room: kept chunks count, and leftovers of killed processes are not removed", async (t) => {
  const host = await hostWith(t, {});
  const chunks = join(host.cacheDirectory, "chunks/ab");
  await mkdir(chunks, { recursive: true, mode: 0o700 });
  const abandoned = `${"a".repeat(64)}.1.new`;
  await writeFile(join(chunks, "b".repeat(64)), Buffer.alloc(3_000_000));
  await writeFile(join(chunks, abandoned), "half");
  await sh("touch", "-d", "yesterday", join(chunks, abandoned));
  t.match(await cache.run(host), exactly({ level: "ok" }, { level: "ok", message: /^3\.0 MB kept/ }));
  t.match(
    await cache.run({ ...host, cacheCapacity: Number.MAX_SAFE_INTEGER }),
    exactly(
      { level: "ok" },
      { level: "warn", message: /the disk would be full before$/, advice: /--max-cache-size/ },
    ),
  );
  t.same((await readdir(chunks)).length, 2);
});

t.test("a cache in memory gets a warning", async (t) => {
  const host = await hostWith(t, { memory: null });
  const memory = join(host.directory, "memory");
  t.teardown(() => sh("umount", memory));
  t.equal((await sh("mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "icfs-test", memory)).code, 0);
  t.match(
    await cache.run({ ...host, cacheDirectory: memory }),
    exactly({ level: "ok" }, { level: "warn", message: /it is in memory \(tmpfs\)/, advice: /--cache-dir/ }),
  );
});

t.test("the record of accepted releases must be safe from other users", async (t) => {
  const host = await hostWith(t, { "state/trust": null });
  const trust = join(host.stateDirectory, "trust");
  await chmod(host.stateDirectory, 0o700);
  await chmod(trust, 0o777);
  await t.rejects(state.run(host), {
    message: /others can write to \S+trust: chmod 700 it, or set XDG_STATE_HOME/,
  });
  await chmod(trust, 0o700);
  t.match(await state.run(host), exactly({ level: "ok" }));
  await chown(host.stateDirectory, 65534, 65534);
  await t.rejects(state.run(host), { message: /state belongs to another user: set XDG_STATE_HOME/ });
});
