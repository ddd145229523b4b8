/**
 * Deliberate faults, a file each (NAME.fault): the first line says the harm to a user; then come the file that the fault is in, the tests
 * of its area, the quickest first, and lines that are removed (-), added (+), or kept ( ) to say where:
 *
 *     Chunks are not hashed: a gateway can put any bytes into a boot.
 *     in: lib/source/icfs/query-reader.ts
 *     tests: test/source/icfs/query-reader.test.ts test/fault/liar.test.ts
 *     -    if (!(await sha256(bytes)).equals(hash)) {
 *     +    if (bytes.length > MAX_CHUNK_BYTES) {
 *
 * As in a patch, but without line numbers: the lines without + must stand together in the file exactly once, with any indentation.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

export interface Fault {
  readonly name: string;
  /** The harm to a user. */
  readonly harm: string;
  /** Paths from the repository's root. */
  readonly file: string;
  readonly tests: readonly string[];
  /** The lines without the fault, and with it. */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

const ENDING = ".fault";

/** All faults in a directory, by name. @throws Error when a file has another form */
export function readFaults(directory: string): Fault[] {
  const names = readdirSync(directory).filter((name) => name.endsWith(ENDING));
  return names
    .sort()
    .map((name) => parseFault(basename(name, ENDING), readFileSync(join(directory, name), "utf8")));
}

function parseFault(name: string, text: string): Fault {
  const [harm, file, tests, ...hunk] = text.trimEnd().split("\n");
  const field = (line: string | undefined, key: string) => {
    if (!line?.startsWith(`${key}: `)) throw new Error(`${name}: no line "${key}: ..." where it belongs`);
    return line.slice(key.length + 2);
  };
  const side = (sign: string) =>
    hunk.filter((line) => line[0] === sign || line[0] === " ").map((l) => l.slice(1));
  const fault = {
    name,
    harm: harm!,
    file: field(file, "in"),
    tests: field(tests, "tests").split(" "),
    before: side("-"),
    after: side("+"),
  };
  if (hunk.some((line) => !/^[-+ ]/.test(line)) || fault.before.length === 0) {
    throw new Error(`${name}: its lines begin with -, + or a blank, and some are there already`);
  }
  return fault;
}

/** The source with the fault in it. @throws Error when the fault's lines are not there, or more than once */
export function withFault(source: string, { before, after }: Fault): string {
  const lines = source.split("\n");
  const wanted = before.map((line) => line.trim());
  const found = lines.flatMap((_, at) =>
    wanted.every((line, i) => lines[at + i]?.trim() === line) ? [at] : [],
  );
  if (found.length !== 1) throw new Error(`its lines are there ${found.length} times`);
  return lines.toSpliced(found[0]!, before.length, ...after).join("\n");
}
