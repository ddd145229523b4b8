/** Runs headless Chromium, which can reach only names below localhost. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunOptions, run } from "../../demo/process.ts";

const BROWSER = "chromium-headless-shell";

/** The time limit; on a quiet machine the browser takes one or two seconds. */
const BROWSER_SECONDS = 120;

async function browse(args: readonly string[], { env, signal }: RunOptions): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "icfs-browser-"));
  try {
    const all = [
      // Its sandbox does not work for root, and it is shown only our own pages.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      `--user-data-dir=${home}`,
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE *.localhost",
      ...args,
    ];
    return await run(BROWSER, all, { env: { ...env, HOME: home }, signal, seconds: BROWSER_SECONDS });
  } finally {
    // The browser may still be writing there for a moment.
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A page's DOM once it has loaded and its scripts have run. @returns HTML */
export function dumpDom(url: string, options: RunOptions): Promise<string> {
  return browse(["--dump-dom", url], options);
}

export interface Screen {
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
  readonly dark?: boolean;
}

/** Saves a screenshot of a page as PNG. */
export async function screenshot(
  url: string,
  to: string,
  screen: Screen,
  options: RunOptions,
): Promise<void> {
  const { width, height, dark = false } = screen;
  // 0 is dark, 1 light: blink::mojom::PreferredColorScheme.
  const scheme = `--blink-settings=preferredColorScheme=${dark ? 0 : 1}`;
  await browse(
    [`--screenshot=${to}`, `--window-size=${width},${height}`, "--hide-scrollbars", scheme, url],
    options,
  );
}
