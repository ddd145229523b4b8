/** Which forward proxy a request goes through: the option's, or the environment's, by curl's rules. */
import { readFileSync, statSync } from "node:fs";
import { BlockList, isIP } from "node:net";
import { messageOf, UsageError, UserError } from "../../errors.ts";
import { isLoopback } from "./loopback.ts";

export interface ForwardProxy {
  /** http: or https:, without a login. */
  readonly url: URL;
  /** The value of Proxy-Authorization, if the proxy's URL has a login. Never shown. */
  readonly authorization: string | undefined;
  /** What names the proxy: --proxy, or a variable. */
  readonly from: string;
}

/** No proxy, whatever the environment says. */
export const NO_PROXY_AT_ALL = "none";

/** What the options say of proxies. */
export interface ProxyOptions {
  /** --proxy; undefined: the environment decides. */
  readonly proxy: ForwardProxy | typeof NO_PROXY_AT_ALL | undefined;
  /** --noproxy, in the form of NO_PROXY, which it replaces; undefined: NO_PROXY counts, for the environment's proxies. */
  readonly exceptions: string | undefined;
}

/** Limit on a file that holds a proxy's URL, in one line. */
const MOST_FILE_BYTES = 64 * 1024;

/** The proxy's URL without its login: http://proxy.example:3128. */
export function shownProxy({ url }: ForwardProxy): string {
  return url.origin;
}

/**
 * The proxy that --proxy names.
 *
 * @param given `none`, an absolute path (or ./FILE) of a file that holds the URL, a URL, or HOST:PORT
 * @param isArgument whether it stands on the command line, where others on this host can read it
 * @returns undefined for none
 * @throws UserError
 */
export function proxyOption(given: string, isArgument: boolean): ForwardProxy | undefined {
  const text = given.trim();
  if (text === NO_PROXY_AT_ALL) return undefined;
  const from = "--proxy";
  if (/^\.{0,2}\//.test(text)) return proxyIn(text);
  const proxy = parseProxy(text, from);
  if (isArgument && hasPassword(proxy)) {
    throw new UsageError(
      "--proxy has a password, which everybody on this host could read on the command line (ps), or in /etc/fstab: give the URL in a file of mode 0600, --proxy FILE with an absolute path, or in the environment (ICFS_PROXY, HTTPS_PROXY)",
    );
  }
  return proxy;
}

/** @throws UserError */
function proxyIn(file: string): ForwardProxy {
  let text: string;
  let mode: number;
  try {
    const status = statSync(file);
    if (!status.isFile() || status.size > MOST_FILE_BYTES) {
      throw new UserError(`--proxy: ${file} is not a file with a proxy's URL in it`);
    }
    mode = status.mode;
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`--proxy: cannot read ${file} (${messageOf(error)}): name a file that holds the URL`);
  }
  const proxy = parseProxy(text, `--proxy ${file}`);
  if (hasPassword(proxy) && (mode & 0o077) !== 0) {
    throw new UserError(
      `${file} has a proxy's password, and can be read by users other than its owner: run \`chmod 600 ${file}\``,
    );
  }
  return proxy;
}

function hasPassword({ authorization }: ForwardProxy): boolean {
  return authorization !== undefined && !basicLogin(authorization).endsWith(":");
}

/** The login in the header's value, in clear text. */
function basicLogin(authorization: string): string {
  return Buffer.from(authorization.replace(/^Basic /, ""), "base64").toString();
}

/** @param from what names the proxy, for people. @throws UsageError, whose message never has the login */
function parseProxy(given: string, from: string): ForwardProxy {
  const text = given.trim();
  const full = /^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(full) && !/[\s\p{Cc}]/u.test(full) ? new URL(full) : undefined;
  // A login ends with the last @, and is not to be shown.
  const shown = text.split("@").at(-1)!.slice(0, 200);
  if (url === undefined || url.hostname === "") {
    throw new UsageError(`${from}: "${shown}" is not a proxy: use a URL such as http://proxy.example:3128`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new UsageError(
      `${from}: ${url.protocol}//${url.host} is not an HTTP proxy, and icfs uses no other kind: use a URL such as http://proxy.example:3128`,
    );
  }
  const hasLogin = url.username !== "" || url.password !== "";
  if (text.includes("@") && !hasLogin) {
    throw new UsageError(
      `${from}: "${shown}" has an @ before it, but no login: in a login write / as %2F, ? as %3F and # as %23`,
    );
  }
  return { url: new URL(url.origin), authorization: authorizationOf(url, from), from };
}

/** @throws UsageError */
function authorizationOf({ username, password }: URL, from: string): string | undefined {
  if (username === "" && password === "") return undefined;
  try {
    const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(login).toString("base64")}`;
  } catch {
    throw new UsageError(`${from}: the proxy's login has a % that does not begin an escape: write it as %25`);
  }
}

/** Which proxy is used for a URL, if any. */
export interface Choice {
  readonly proxy?: ForwardProxy;
  /** Why a proxy that is named is not used. */
  readonly because?: string;
}

/**
 * The proxy for a URL: the option's, unless --noproxy lists the host; without one, the proxy that https_proxy or http_proxy names, by the URL's
 * protocol, unless --noproxy or no_proxy lists the host. The variables may be in capitals; where both are set, lower case wins, as with curl.
 * A network on this host is never asked through a proxy: the proxy's own host would answer, and icfs would believe its root key.
 *
 * @throws UsageError when the variable does not name a proxy
 */
export function chooseProxy(
  target: URL,
  env: NodeJS.ProcessEnv,
  { proxy: option, exceptions }: ProxyOptions,
): Choice {
  const name = target.protocol === "https:" ? "https_proxy" : "http_proxy";
  const [variable, value] = variableOf(env, name);
  const isNamed = option !== undefined || value !== undefined;
  if (!isNamed) return {};
  if (isLoopback(target)) return { because: "a network on this host is never asked through a proxy" };
  if (option === NO_PROXY_AT_ALL) return value === undefined ? {} : { because: "--proxy none says so" };
  if (exceptions !== undefined && isExcepted(target, exceptions))
    return { because: `--noproxy has ${target.hostname}` };
  if (option !== undefined) return { proxy: option };
  const [exempting, list = ""] = variableOf(env, "no_proxy");
  if (exceptions === undefined && isExcepted(target, list))
    return { because: `${exempting} has ${target.hostname}` };
  return { proxy: parseProxy(value!, variable) };
}

/** The variable that is set, in either case. An empty one counts as not set. */
function variableOf(env: NodeJS.ProcessEnv, name: string): [name: string, value: string | undefined] {
  const names = [name, name.toUpperCase()];
  const found = names.find((one) => env[one]?.trim());
  return [found ?? name, found === undefined ? undefined : env[found]];
}

/**
 * Whether NO_PROXY lists a URL's host. Commas or blanks separate its entries. An entry is `*`, for all hosts; a domain, with or without `.`
 * or `*.` before it, for that name and all below it; an address; or a range of addresses (10.0.0.0/8). An entry with a port (`:8443`)
 * counts for that port only.
 */
export function isExcepted(target: URL, list: string): boolean {
  const host = withoutBrackets(target.hostname).replace(/\.$/, "");
  const port = target.port || (target.protocol === "https:" ? "443" : "80");
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === "*") return true;
      const [, name = "", only] = /^(\[[^\]]*\](?:\/\d+)?|[^:]*)(?::(\d+))?$/.exec(entry) ?? [null, entry];
      return (only === undefined || only === port) && isCovered(host, name);
    });
}

function isCovered(host: string, entry: string): boolean {
  const kind = isIP(host);
  if (kind === 0) {
    const domain = entry.replace(/^\*?\./, "").replace(/\.$/, "");
    return domain !== "" && (host === domain || host.endsWith(`.${domain}`));
  }
  const [address = "", bits] = entry.replace(/[[\]]/g, "").split("/");
  if (isIP(address) !== kind) return false;
  const family = kind === 6 ? "ipv6" : "ipv4";
  const covered = new BlockList();
  const most = kind === 6 ? 128 : 32;
  const prefix = Number(bits ?? most);
  if (!/^\d+$/.test(bits ?? `${most}`) || prefix > most) return false;
  covered.addSubnet(address, prefix, family);
  return covered.check(host, family);
}

function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, "");
}
