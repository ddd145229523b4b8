/**
 * Makes docs/demo.svg, a recording of the demo in a terminal. Each line appears when the run printed it, at SPEED times the
 * real speed. As root: `node scripts/recording.ts`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";

const SPEED = 4;
const [CELL_WIDTH, CELL_HEIGHT, MARGIN, COLUMNS] = [7.3, 18, 14, 120];

/** A line of output, and when it was printed. */
interface Line {
  readonly text: string;
  /** Since the start of the run. */
  readonly seconds: number;
}

async function record(command: string, args: readonly string[]): Promise<Line[]> {
  const started = performance.now();
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  const lines: Line[] = [];
  for await (const text of createInterface({ input: child.stdout })) {
    lines.push({ text, seconds: (performance.now() - started) / 1000 });
    console.log(text);
  }
  if (child.exitCode === null) await once(child, "exit");
  if (child.exitCode !== 0) throw new Error(`${command} ended with ${child.exitCode}`);
  return lines;
}

/** Wraps lines of more than COLUMNS. */
function wrap({ text, seconds }: Line): Line[] {
  const parts = text.match(new RegExp(`.{1,${COLUMNS}}`, "g")) ?? [""];
  return parts.map((part) => ({ text: part, seconds }));
}

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** An SVG picture in which the lines appear one after another. */
function animation(lines: readonly Line[]): string {
  const rows = lines.flatMap(wrap);
  const [width, height] = [COLUMNS * CELL_WIDTH + 2 * MARGIN, rows.length * CELL_HEIGHT + 2 * MARGIN];
  const texts = rows.map(({ text, seconds }, row) => {
    const y = MARGIN + (row + 0.75) * CELL_HEIGHT;
    const delay = (seconds / SPEED).toFixed(2);
    return `<text x="${MARGIN}" y="${y}" style="animation-delay:${delay}s" xml:space="preserve">${escaped(text)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<title>A run of icfs' demo</title>
<style>
  rect { fill: #0d1117; }
  text { font: 12px monospace; fill: #e6edf3; opacity: 0; animation: appear 0.01s forwards; }
  @keyframes appear { to { opacity: 1; } }
  @media (prefers-reduced-motion: reduce) { text { opacity: 1; animation: none; } }
</style>
<rect width="100%" height="100%" rx="8"/>
${texts.join("\n")}
</svg>
`;
}

if (import.meta.main) {
  const lines = await record("node", ["demo/demo.ts"]);
  const svg = animation([{ text: "# make demo", seconds: 0 }, ...lines]);
  await writeFile(new URL("../docs/demo.svg", import.meta.url), svg);
}
