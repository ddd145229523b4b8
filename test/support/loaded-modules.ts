/**
 * When loaded before a program (node --import), writes at its end what it has loaded, in JSON, to the file that LOADED_MODULES
 * names: `urls` of modules, and `internal`, parts of Node itself.
 */
import { writeFileSync } from "node:fs";
import { registerHooks } from "node:module";

const urls: string[] = [];
registerHooks({
  load(url, context, next) {
    urls.push(url);
    return next(url, context);
  },
});
process.on("exit", () => {
  const { moduleLoadList: internal } = process as unknown as { moduleLoadList: readonly string[] };
  writeFileSync(process.env.LOADED_MODULES!, JSON.stringify({ urls, internal }));
});
