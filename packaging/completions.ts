/**
 * Writes completions for bash, zsh and fish: `node packaging/completions.ts DIRECTORY`. They are static lists, so that a TAB does
 * not start the program.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bash } from "./completions/bash.ts";
import { fish } from "./completions/fish.ts";
import { zsh } from "./completions/zsh.ts";

const directory = process.argv[2];
if (directory === undefined) throw new Error("usage: completions.ts DIRECTORY");
mkdirSync(directory, { recursive: true });
for (const [shell, text] of Object.entries({ bash, zsh, fish }))
  writeFileSync(join(directory, `icfs.${shell}`), text());
