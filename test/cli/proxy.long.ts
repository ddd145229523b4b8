/**
 * A company's network: the Internet Computer is behind Squid, which wants a login, and TLS uses an authority of the company's own. The test
 * follows docs/NETWORKS.md, "Behind a company's proxy", on a host that has no other way out.
 */
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { documented } from "../support/documented.ts";
import { HUNG, temporaryDirectory } from "../support/icfs.ts";
import { inOrder } from "../support/in-order.ts";
import { makeAuthority } from "../support/private-authority.ts";
import { startSandbox } from "../support/sandbox.ts";

t.setTimeout(1_800_000);
const step = inOrder(t);

const CANISTER = "oeagv-5qaaa-aaaah-aar4q-cai";
const PASSWORD = "PASSWORD";

const environment: NodeJS.ProcessEnv = { CANISTER, ICFS_NETWORK: "local" };
const host = await startSandbox(t, () => environment);
const sh = (script: string) => host.sh(script, 3 * HUNG);

/** Runs commands, which must succeed. @returns what they have printed */
async function done(t: Test, commands: string): Promise<string> {
  const { code, stdout, stderr } = await sh(commands);
  t.equal(code, 0, commands, { stdout, stderr });
  return stdout + stderr;
}

/** Squid's configuration, with one user. Only Squid can resolve gateway.test. */
const SQUID = `http_port 127.0.0.1:3128
hosts_file /etc/squid/hosts
dns_nameservers 127.0.0.1
auth_param basic program /usr/lib/squid/basic_ncsa_auth /etc/squid/users
auth_param basic realm company
auth_param basic casesensitive on
acl users proxy_auth REQUIRED
acl refused dstdomain refused.test
http_access deny refused
http_access allow users
http_access deny all
cache deny all
cache_mem 8 MB
access_log stdio:/var/log/squid/access.log
cache_log /var/log/squid/cache.log
pid_filename none
pinger_enable off
netdb_filename none
cache_effective_user nobody
cache_effective_group nogroup
shutdown_lifetime 0 seconds
`;

/** Starts Squid, and waits until it serves, or has ended. */
const START_SQUID = `squid -N >/var/log/squid/out 2>&1 &
    until curl --silent --output /dev/null http://127.0.0.1:3128; do
      kill -0 $! || { tail /var/log/squid/out /var/log/squid/cache.log; exit 1; }
      sleep 0.1
    done`;

const NGINX = `error_log /var/log/nginx.log;
user root;
pid /run/nginx.pid;
events {}
http {
  access_log off;
  client_max_body_size 8m;


  server {
    listen 127.0.0.1:80;
    listen 127.0.0.1:443 ssl;
    ssl_certificate /root/gateway.pem;
    ssl_certificate_key /root/gateway-key.pem;
    location / { proxy_pass http://127.0.0.1:4943; }
    location /mirror/ { alias /srv/mirror/; }
  }
}
`;

/** The network as an option for fstab: mount(8)'s helper takes no network from the environment. */
const written = () => `network=${environment.ICFS_NETWORK},root-key=${environment.ICFS_ROOT_KEY}`;

step("a host with a canister behind Squid", async (t) => {
  const directory = await temporaryDirectory(t);
  const authority = await makeAuthority(directory);
  const { keyFile, certFile } = await authority.certify("gateway.test");
  const root = (path: string) => join(host.root, path);
  await cp(authority.file, root("root/company.pem"));
  await cp(keyFile, root("root/gateway-key.pem"));
  await cp(certFile, root("root/gateway.pem"));
  await writeFile(root("root/nginx.conf"), NGINX);
  await mkdir(root("etc/squid"));
  await writeFile(root("etc/squid/squid.conf"), SQUID);
  await writeFile(root("etc/squid/hosts"), "127.0.0.1 gateway.test refused.test\n");
  await done(
    t,
    `ln -s /opt/icfs/bin/icfs /usr/local/bin/icfs
    ln -sf /opt/icfs/bin/icfs /sbin/mount.icfs
    cp -a /opt/icfs/build/squid{,-common,-langpack}/usr /
    # By another name in Debian 13, for which there is this one when it is installed.
    [ -e /usr/sbin/squid ] || ln -s squid-gnutls /usr/sbin/squid
    printf 'USER:%s\\n' "$(openssl passwd -apr1 ${PASSWORD})" >/etc/squid/users
    mkdir -p /var/log/squid /var/lib/nginx /srv/tftp tree && chown nobody /var/log/squid
    echo 127.0.0.1 proxy.example >>/etc/hosts
    sed -i '/^hosts:/s/.*/hosts: files/' /etc/nsswitch.conf
    mkdir -p tree/pxelinux.cfg && echo loader >tree/pxelinux.0 && echo menu >tree/pxelinux.cfg/default`,
  );
  t.match(await host.startNetwork(), { code: 0 });
  const status = await done(
    t,
    "curl --silent http://127.0.0.1:4943/api/v2/status | od -An -v -tx1 | tr -d ' \\n'",
  );
  environment.ICFS_ROOT_KEY = /308182301d060d2b0601040182dc7c0503[0-9a-f]{232}/.exec(status)![0];
  await done(t, `icfs deploy --specified-id ${CANISTER} && icfs publish tree ${CANISTER}`);
  await done(
    t,
    `/opt/icfs/build/nginx/usr/sbin/nginx -c /root/nginx.conf -e /var/log/nginx.log
    ${START_SQUID}`,
  );
  environment.ICFS_NETWORK = "https://gateway.test";
});

step("each failure at the proxy is reported at once, with advice", async (t) => {
  const cases: [env: string, args: string, message: RegExp][] = [
    ["", "", /getaddrinfo ENOTFOUND gateway\.test\): the name does not exist: .* --proxy URL/],
    [
      "HTTPS_PROXY=http://proxy.example:3128",
      "",
      /the proxy http:\/\/proxy\.example:3128 \(HTTPS_PROXY\) says HTTP status 407: it wants a login\): give it the login/,
    ],
    [
      "https_proxy=USER:wrong@proxy.example:3128",
      "",
      /does not accept the login that it was given\): correct the login in https_proxy/,
    ],
    [
      "ICFS_PROXY=http://USER:PASSWORD@proxy.example:3128",
      "--network https://refused.test",
      /opens no tunnel to refused\.test:443: HTTP status 403 Forbidden \(ERR_ACCESS_DENIED\), with a page of HTML\)/,
    ],
    [
      "ICFS_PROXY=http://USER:PASSWORD@proxy.example:3128",
      "",
      /unable to verify the first certificate, through the proxy .*its TLS certificate is not trusted on this host: .* --ca-bundle FILE/,
    ],
    ["HTTPS_PROXY=http://USER:PASSWORD@proxy.example:3128 NO_PROXY=.test", "", /ENOTFOUND gateway\.test/],
  ];
  const commands = [
    `ls ${CANISTER}`,
    // With --retry, the mount would wait for an hour if it took this error for an outage.
    `mount ${CANISTER} /srv/tftp --retry 1h`,
    `publish tree ${CANISTER}`,
  ];
  for (const [index, [env, args, message]] of cases.entries()) {
    const command = commands[index % commands.length]!;
    const { code, stderr } = await sh(`${env} icfs ${command} ${args}`);
    t.equal(code, 1, `${env} ${command}`);
    t.match(stderr, message, `${env} ${command}`);
    t.notMatch(stderr, /PASSWORD@proxy|:wrong/);
  }
  const mirror = "--mirror-only --mirror https://gateway.test/mirror";
  t.match(
    await sh(`ICFS_PROXY=http://USER:PASSWORD@proxy.example:3128 icfs cat ${CANISTER} pxelinux.0 ${mirror}`),
    { code: 1, stderr: /verify the first certificate, through the proxy http:\/\/proxy\.example:3128/ },
  );
  t.match(await sh(`icfs ls ${CANISTER} --proxy http://USER:PASSWORD@proxy.example:3128`), {
    code: 2,
    stderr: /^icfs: --proxy has a password, /,
  });
  t.match(await sh(`icfs mount ${CANISTER} /srv/tftp --ca-bundle /etc/passwd`), {
    code: 1,
    stderr: /has no certificate in PEM/,
  });
});

step("the commands of docs/NETWORKS.md work", async (t) => {
  const commands = await documented("NETWORKS.md", "Behind a company's proxy");
  // The document uses the main network, so the options for the test's network are added.
  const said = await sh(
    commands
      .replace("icfs doctor", "icfs doctor --ca-bundle company.pem")
      .replace("icfs ls", "icfs ls --ca-bundle company.pem")
      .replace("icfs ro,", `icfs ro,${written()},`),
  );
  t.equal(said.code, 0, commands, said);
  t.match(
    said.stdout,
    /^ok +proxy: https:\/\/gateway\.test is asked through http:\/\/proxy\.example:3128 \(--proxy \/etc\/icfs\/proxy\)$/m,
  );
  t.match(said.stdout, /^ok +network: https:\/\/gateway\.test answers$/m);
  t.match(said.stdout, /pxelinux\.0/);
  await done(t, "diff -r tree /srv/tftp");
  t.match(
    await readFile(join(host.root, "var/log/squid/access.log"), "utf8"),
    /CONNECT gateway\.test:443 USER/,
  );
});

step("a mirror behind the same proxy, with the same authority", async (t) => {
  const options = "--proxy /etc/icfs/proxy --ca-bundle company.pem";
  t.match(await done(t, `icfs mirror ${CANISTER} /srv/mirror ${options}`), /has release 1 of/);
  const cat = `icfs cat ${CANISTER} pxelinux.0 --mirror-only --mirror`;
  for (const url of ["https://gateway.test/mirror", "http://gateway.test/mirror/"]) {
    t.equal(await done(t, `${cat} ${url} ${options}`), "loader\n", url);
  }
  t.match(await sh(`${cat} http://gateway.test/mirror`), { code: 1, stderr: /ENOTFOUND gateway\.test/ });
  await done(
    t,
    `icfs mount ${CANISTER} /mnt --mirror https://gateway.test/mirror --mirror-only --cache-dir by-mirror ${options}
    diff -r tree /mnt && icfs umount /mnt`,
  );
  t.match(
    await readFile(join(host.root, "var/log/squid/access.log"), "utf8"),
    /GET http:\/\/gateway\.test\/mirror\/\.icfs\/release USER/,
  );
});

step("a mount goes on when the proxy refuses it, reports that, and never shows the password", async (t) => {
  // The proxy gets another password, so that it refuses the mount's.
  await done(
    t,
    `printf 'USER:%s\\n' "$(openssl passwd -apr1 other)" >/etc/squid/users
    kill -KILL $(pidof squid)
    while pidof squid; do sleep 0.1; done
    ${START_SQUID}
    kill -HUP $(icfs status --json | jq .[0].pid)
    until icfs status /srv/tftp | grep 407; do sleep 0.2; done`,
  );
  const shown = await done(
    t,
    "diff -r tree /srv/tftp && icfs status /srv/tftp && icfs status --json && cat /proc/[0-9]*/cmdline /var/log/icfs.log /etc/fstab | tr '\\0' ' '",
  );
  t.match(
    shown,
    /does not accept the login that it was given \(correct the login in --proxy \/etc\/icfs\/proxy/,
  );
  t.match(shown, /mount-helper-main/);
  t.notMatch(shown, new RegExp(`${PASSWORD}@proxy`));
  const { code, stdout } = await sh("icfs doctor /srv/tftp --proxy /etc/icfs/proxy");
  t.match(stdout, /^fail +proxy: the proxy http:\/\/proxy\.example:3128 .* 407/m);
  t.match(
    stdout,
    /^warn +mount: \/srv\/tftp goes on with release 1, as https:\/\/gateway\.test does not answer/m,
  );
  t.equal(code, 1);
});

step("mount(8) takes no proxy from its caller's environment", async (t) => {
  await done(t, "umount /srv/tftp");
  const env = "HTTPS_PROXY=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1";
  const options = `ro,retry=1h,cache-dir=/root/cold,${written()}`;
  t.match(await sh(`${env} mount -t icfs ${CANISTER} /srv/tftp -o ${options}`), {
    code: 32,
    stderr: /ENOTFOUND gateway\.test.*the name does not exist/,
  });
  const login = `${options},proxy=http://USER:other@proxy.example:3128`;
  t.match(await sh(`mount -t icfs ${CANISTER} /srv/tftp -o ${login}`), {
    code: 1,
    stderr: /^mount\.icfs: --proxy has a password/,
  });
});
