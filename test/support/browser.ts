/** A browser without a screen: Chromium, which reaches names below localhost and nothing else. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunOptions, run } from "../../demo/process.ts";

const BROWSER = "chromium-headless-shell";

/** Seconds; it takes one or two on a quiet machine. */
const PATIENCE = 120;

async function browse(args: readonly string[], { env, signal }: RunOptions): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "icfs-browser-"));
  try {
    const all = [
      // Its sandbox is not for root, and what it is shown is ours.
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
    return await run(BROWSER, all, { env: { ...env, HOME: home }, signal, seconds: PATIENCE });
  } finally {
    // It may still be writing there for a moment.
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** What a page has become when it is loaded, scripts and all. @returns HTML */
export function dumpDom(url: string, options: RunOptions): Promise<string> {
  return browse(["--dump-dom", url], options);
}

export interface Screen {
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
  readonly dark?: boolean;
}

/** Writes what a page looks like to a PNG. */
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
