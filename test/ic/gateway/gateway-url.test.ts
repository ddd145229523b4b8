import t from "tap";
import { gatewayUrl } from "../../../lib/ic/gateway/gateway-url.ts";
import { resolveNetwork } from "../../../lib/ic/network.ts";

const ID = "oeagv-5qaaa-aaaah-aar4q-cai";

t.test("the URL of each network's gateway", async (t) => {
  const at: Record<string, string> = {
    ic: `https://${ID}.icp0.io/a`,
    "https://icp-api.io": `https://${ID}.icp0.io/a`,
    "https://ic0.app/": `https://${ID}.icp0.io/a`,
    local: `http://${ID}.localhost:4943/a`,
    "http://127.0.0.1:8000": `http://${ID}.localhost:8000/a`,
    "http://[::1]:8000": `http://${ID}.localhost:8000/a`,
    "localhost:80": `http://${ID}.localhost/a`,
    "https://ic.example:8443/api": `https://${ID}.ic.example:8443/a`,
    "http://10.0.0.5:4943": `http://10.0.0.5:4943/a?canisterId=${ID}`,
    "https://[fd00::5]": `https://[fd00::5]/a?canisterId=${ID}`,
  };
  for (const [network, url] of Object.entries(at))
    t.equal(gatewayUrl(resolveNetwork(network), ID, "a"), url, network);
});

t.test("paths are encoded, and keep their meaning", async (t) => {
  const paths: Record<string, string> = {
    "": "/",
    "/": "/",
    "pxelinux.cfg/default": "/pxelinux.cfg/default",
    "/d/": "/d/",
    "//a//b": "/a/b",
    "a b/ü?#%&+": "/a%20b/%C3%BC%3F%23%25%26%2B",
    "<$>": "/%3C%24%3E",
  };
  for (const [path, encoded] of Object.entries(paths)) {
    const url = gatewayUrl(resolveNetwork("ic"), ID, path);
    t.equal(url, `https://${ID}.icp0.io${encoded}`, path);
    t.equal(new URL(url).href, url, "parsing leaves the URL unchanged");
  }
});
