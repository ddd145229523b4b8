/** Plots a figure that grows with the number of hosts, as an SVG for light and dark pages. */

export interface Curve {
  readonly name: string;
  /** The number of hosts, and the figure; both above 0. */
  readonly points: readonly (readonly [number, number])[];
}

export interface Panel {
  readonly title: string;
  readonly curves: readonly Curve[];
}

const WIDTH = 360;
const HEIGHT = 260;
const LEFT = 56;
const TOP = 34;
const RIGHT = 16;
const BOTTOM = 42;
const LEGEND = 26;
/** Curves differ by their marks, for readers who do not see the colours. */
const MARKS = ["circle", "square", "triangle"] as const;

const STYLE = `
  svg { font: 12px system-ui, sans-serif; --ink: #1f2328; --grid: #d0d7de; --c0: #b35900; --c1: #0969da; --c2: #1a7f37; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --grid: #3d444d; --c0: #f0a35e; --c1: #6cb6ff; --c2: #57c27a; }
  }
  text { fill: var(--ink); }
  .title { font-weight: 600; }
  .grid { stroke: var(--grid); }
  path { fill: none; stroke-width: 2; }
  ${MARKS.map((_, i) => `.c${i} { stroke: var(--c${i}); } .m${i} { fill: var(--c${i}); }`).join("\n  ")}`;

/**
 * An SVG of panels with logarithmic axes.
 *
 * @param panels drawn side by side, with the same curves
 * @param about a description for readers who cannot see it
 */
export function plot(panels: readonly Panel[], about: string): string {
  const width = panels.length * WIDTH;
  const height = HEIGHT + LEGEND;
  const names = panels[0]!.curves.map(({ name }) => name);
  const legend = names.map((name, i) => {
    const x = LEFT + (i * (width - LEFT)) / names.length;
    return `${mark(i, x, HEIGHT + 8)}<text x="${x + 12}" y="${HEIGHT + 12}">${name}</text>`;
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${about}</title>`,
    `<style>${STYLE}\n</style>`,
    ...panels.map((panel, i) => `<g transform="translate(${i * WIDTH} 0)">\n${panelOf(panel)}\n</g>`),
    ...legend,
    "</svg>",
  ].join("\n")}\n`;
}

function panelOf({ title, curves }: Panel): string {
  const points = curves.flatMap((curve) => curve.points);
  const x = axis(
    points.map(([hosts]) => hosts),
    LEFT,
    WIDTH - RIGHT,
  );
  const y = axis(
    points.map(([, figure]) => figure),
    HEIGHT - BOTTOM,
    TOP,
  );
  const lines = [
    ...x.decades.map(
      (hosts) =>
        `<line class="grid" x1="${x.at(hosts)}" x2="${x.at(hosts)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/><text x="${x.at(hosts)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${text(hosts)}</text>`,
    ),
    ...y.decades.map(
      (figure) =>
        `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y.at(figure)}" y2="${y.at(figure)}"/><text x="${LEFT - 6}" y="${y.at(figure) + 4}" text-anchor="end">${text(figure)}</text>`,
    ),
  ];
  const drawn = curves.map((curve, i) => {
    const at = curve.points.map(([hosts, figure]) => [x.at(hosts), y.at(figure)] as const);
    const path = `<path class="c${i}" d="M${at.map((point) => point.join(" ")).join(" L")}"/>`;
    return path + at.map(([px, py]) => mark(i, px, py)).join("");
  });
  return [
    `<text class="title" x="${LEFT}" y="18">${title}</text>`,
    ...lines,
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">hosts</text>`,
    ...drawn,
  ].join("\n");
}

/** A logarithmic axis over whole decades. */
function axis(values: readonly number[], from: number, to: number) {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values))));
  return {
    decades: Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i)),
    at: (value: number) =>
      Number((from + ((Math.log10(value) - first) / (last - first)) * (to - from)).toFixed(1)),
  };
}

function text(value: number): string {
  return value < 1 ? String(Number(value.toPrecision(1))) : value.toLocaleString("en");
}

function mark(index: number, x: number, y: number): string {
  const kind = MARKS[index % MARKS.length];
  const shape = `class="m${index}"`;
  if (kind === "circle") return `<circle ${shape} cx="${x}" cy="${y}" r="4"/>`;
  if (kind === "square") return `<rect ${shape} x="${x - 4}" y="${y - 4}" width="8" height="8"/>`;
  return `<polygon ${shape} points="${x},${y - 5} ${x - 5},${y + 4} ${x + 5},${y + 4}"/>`;
}
