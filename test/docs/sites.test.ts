/** The commands of docs/SITES.md, unchanged, on one host. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { documented } from "../support/documented.ts";
import { HUNG } from "../support/icfs.ts";
import { inOrder } from "../support/in-order.ts";
import { startSandbox } from "../support/sandbox.ts";

t.setTimeout(15 * HUNG);
const step = inOrder(t);

const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
const environment: NodeJS.ProcessEnv = { CANISTER, ICFS_NETWORK: "local" };
const host = await startSandbox(t, () => environment);

async function done(t: Test, commands: string): Promise<string> {
  const { code, stdout, stderr } = await host.sh(commands);
  t.equal(code, 0, commands, { stdout, stderr });
  return stdout;
}

/** A whole configuration for nginx. @param name of its files @param http the content of its `http` block */
function inNginx(name: string, http: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path /tmp/${name}-${kind};`,
  );
  return `pid /tmp/${name}.pid; user root; events {}\nhttp { access_log off; ${temporary.join(" ")}\n${http}}\n`;
}

step("One host", async (t) => {
  await done(
    t,
    "ln -s /opt/icfs/bin/icfs /usr/local/bin/icfs; mkdir -p tree /srv/tftp /srv/offline /media/stick; echo loader >tree/pxelinux.0",
  );
  t.match(await host.startNetwork(), { code: 0 });
  await done(t, `icfs deploy --specified-id ${CANISTER} && icfs publish tree ${CANISTER}`);
  const key = "curl --silent http://127.0.0.1:4943/api/v2/status | od -An -v -tx1 | tr -d ' \\n'";
  environment.ICFS_ROOT_KEY = /308182301d[0-9a-f]{256}/.exec(await done(t, key))![0];
  await done(t, await documented("SITES.md", "One host"));
  await done(t, "diff -r tree /srv/tftp && icfs umount /srv/tftp && icfs cache clear");
});

step("Ten hosts and nginx", async (t) => {
  const example = await readFile(join(import.meta.dirname, "../../examples/nginx.conf"), "utf8");
  // The local network's gateway has no TLS.
  const cache = example
    .replaceAll("CANISTER", CANISTER)
    .replaceAll("server icp0.io:443;", "server 127.0.0.1:4943;")
    .replaceAll("proxy_pass https://icfs", "proxy_pass http://icfs")
    .replaceAll("/var/cache/nginx/", "/tmp/cache-");
  await mkdir(join(host.root, "etc/site"), { recursive: true });
  await writeFile(join(host.root, "etc/site/cache.conf"), inNginx("cache", cache));
  await done(
    t,
    "echo 127.0.0.1 cache.example >>/etc/hosts; sed -i '/^hosts:/s/.*/hosts: files/' /etc/nsswitch.conf",
  );
  await done(t, "/opt/icfs/build/nginx/usr/sbin/nginx -c /etc/site/cache.conf -e /tmp/cache.log");
  const status = await done(t, await documented("SITES.md", "Ten hosts and nginx"));
  t.match(status, /^ {2}mirror +http:\/\/cache\.example: [1-9]\d* chunks/m);
  await done(t, "diff -r tree /srv/tftp && icfs umount /srv/tftp && icfs cache clear");
});

step("A host that serves its neighbours", async (t) => {
  const [mount, serve, neighbour] = (await documented("SITES.md", "A host that serves its neighbours")).split(
    /^(?=icfs)/m,
  );
  await done(t, mount!);
  // `icfs serve` stays in the foreground, and prints a line when it serves.
  await done(
    t,
    `(${serve!.trim()} >served 2>served.log </dev/null & echo $! >serve.pid); until grep -q ^serving served; do sleep 0.2; done`,
  );
  await done(t, neighbour!);
  await done(t, "diff -r tree /srv/offline");
  t.match(await done(t, "icfs status /srv/offline"), /^ {2}mirror +http:\/\/localhost:8082: \d+ chunks/m);
  t.match(await done(t, "icfs status /srv/tftp"), /^ {2}serves +http:\/\/0.0.0.0:8081: /m);
  t.equal(await done(t, "curl --silent --fail http://localhost:8081/pxelinux.0"), "loader\n");
  // The cache keeps what the server uses until the server has ended.
  await done(t, "kill $(cat serve.pid); while readlink /proc/$(cat serve.pid)/exe; do sleep 0.1; done");
  await done(t, "icfs umount /srv/offline && icfs umount /srv/tftp && icfs cache clear");
});

step("A hundred sites and a CDN", async (t) => {
  const nginx = "/usr/sbin/nginx";
  await done(
    t,
    `ln -sf /opt/icfs/build/nginx/usr/sbin/nginx ${nginx}; rm -rf /etc/nginx
    mkdir -p /etc/nginx/sites-enabled /var/lib/nginx /var/log/nginx /var/cache/cdn
    for one in nginx cdn; do
      echo "pid /run/$one.pid; user root; events {} http { access_log /var/log/nginx/$one; include /etc/nginx/$one.d/*; }"  >/etc/nginx/$one.conf
    done
    ln -s sites-enabled /etc/nginx/nginx.d`,
  );
  // Any cache that follows Cache-Control can play the CDN.
  await done(
    t,
    `mkdir /etc/nginx/cdn.d
    icfs example nginx ${CANISTER} --listen 8081 --store /var/cache/cdn/icfs >/etc/nginx/cdn.d/icfs
    { nginx -c /etc/nginx/cdn.conf; nginx; } >/dev/null 2>&1`,
  );
  environment.CDN = "http://localhost:8081";
  const [cache, mount] = (await documented("SITES.md", "A hundred sites and a CDN")).split(
    /^(?=icfs mount)/m,
  );
  await done(t, cache!);
  await done(t, "until curl --silent --output /dev/null http://localhost:8080/; do sleep 0.1; done");
  t.match(await done(t, mount!), /^ {2}mirror +http:\/\/localhost:8080: [1-9]\d* chunks/m);
  await done(t, "diff -r tree /srv/tftp");
  t.match(
    await done(t, "cat /var/log/nginx/cdn"),
    /GET \/\.icfs\/chunk\//,
    "the site's cache asks the CDN for chunks",
  );
  await done(t, "icfs umount /srv/tftp && icfs cache clear && nginx -s stop");
  t.match(
    await done(t, mount!),
    /^ {2}mirror +http:\/\/localhost:8081: [1-9]\d* chunks/m,
    "chunks come from the CDN while the site's cache is down",
  );
  await done(t, "diff -r tree /srv/tftp && icfs umount /srv/tftp && icfs cache clear");
  await done(t, "nginx -c /etc/nginx/cdn.conf -s stop");
});

step("A static mirror", async (t) => {
  const [make, mount, verify] = (await documented("SITES.md", "A static mirror")).split(
    /^(?=icfs mount|icfs verify)/m,
  );
  t.match(await done(t, make!), /^\/srv\/mirror has release 1 of /);
  const server = await documented("SITES.md", "A static mirror", "nginx");
  await mkdir(join(host.root, "etc/site"), { recursive: true });
  await writeFile(join(host.root, "etc/site/nginx.conf"), inNginx("nginx", server));
  await done(t, "/opt/icfs/build/nginx/usr/sbin/nginx -c /etc/site/nginx.conf -e /tmp/nginx.log");
  t.match(await done(t, mount!), /^ {2}mirror +http:\/\/localhost:8080: [1-9]\d* chunks/m);
  await done(t, "diff -r tree /srv/tftp");
  t.match(await done(t, verify!), /is intact/);
});

step("A USB stick", async (t) => {
  // Nothing answers at this address.
  environment.ICFS_NETWORK = "http://127.0.0.1:9";
  await done(t, await documented("SITES.md", "A USB stick"));
  await done(t, "diff -r tree /srv/offline");
});
