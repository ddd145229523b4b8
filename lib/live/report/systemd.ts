/**
 * Tells a service manager such as systemd about a mount that runs as a service (Type=notify): when it is ready, how it is doing,
 * and when it ends; see sd_notify(3). Node has no Unix datagram sockets, and icfs avoids compiled addons, so this runs systemd's
 * own systemd-notify, which exists wherever a manager listens. Elsewhere nothing is run.
 */
import { messageOf } from "../../errors.ts";
import { type Log, oneLine } from "../../log.ts";
import { run } from "../../process/command.ts";
import { namedInWords, servedInWords } from "../../source/words.ts";
import type { AnyStatus } from "./status.ts";

/** The variable with the service manager's address. */
const VARIABLE = "NOTIFY_SOCKET";
/** systemd-notify waits until its message has been read, or for 5 s. */
const COMMAND_LIMIT_MS = 10_000;
/** How often to check for news. */
const LOOK_MS = 5000;
/** How long a start that makes progress may still take: several times LOOK_MS, and the time of a chunk over a slow line. */
const EXTENSION_US = 120_000_000;

/**
 * The service manager's address, removed from the environment, so that child processes do not notify it. Undefined: nobody
 * listens.
 */
export function takeNotifySocket(): string | undefined {
  const socket = process.env[VARIABLE];
  delete process.env[VARIABLE];
  return socket || undefined;
}

export class ServiceManager {
  readonly #socket: string;
  readonly #log: Log;
  #isReady = false;
  #said: string | undefined;
  /** Bytes that were here at the last check. */
  #here = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The messages in progress; they are sent one after another. */
  #saying: Promise<void> = Promise.resolve();
  #unsaid = 0;

  /** @param socket the result of takeNotifySocket() */
  constructor(socket: string, log: Log) {
    this.#socket = socket;
    this.#log = log;
  }

  /** Starts to report the mount's state and, until it is ready, its progress. @param status undefined: nothing is mounted yet */
  follow(status: () => AnyStatus | undefined): void {
    this.#timer = setInterval(() => this.#look(status()), LOOK_MS).unref();
    this.#look(status());
  }

  /** Reports that readers can use the mount, so that units ordered after it start. Resolves when the service manager knows. */
  ready(status: AnyStatus): Promise<void> {
    this.#isReady = true;
    this.#said = statusLine(status);
    return this.#say("READY=1", `STATUS=${this.#said}`);
  }

  /** Reports that the process is about to end. @param status the line to show */
  stopping(status: string): Promise<void> {
    clearInterval(this.#timer);
    return this.#say("STOPPING=1", `STATUS=${status}`);
  }

  /** Ends what follow() started. */
  end(): void {
    clearInterval(this.#timer);
  }

  #look(status: AnyStatus | undefined): void {
    // The manager does not listen. It gets the latest state when it does again.
    if (this.#unsaid > 0) return;
    const news: string[] = [];
    const line = statusLine(status);
    if (line !== this.#said) news.push(`STATUS=${line}`);
    this.#said = line;
    const here = status === undefined ? 0 : status.cache.bytesVerified + (status.hydration?.bytesDone ?? 0);
    if (!this.#isReady && here > this.#here) news.push(`EXTEND_TIMEOUT_USEC=${EXTENSION_US}`);
    this.#here = here;
    if (news.length > 0) void this.#say(...news);
  }

  /** Never rejects: the mount is useful even if nobody is notified. */
  #say(...assignments: string[]): Promise<void> {
    this.#unsaid += 1;
    this.#saying = this.#saying.then(async () => {
      try {
        const environment = { [VARIABLE]: this.#socket };
        const { code, stderr } = await run("systemd-notify", ["--", ...assignments], COMMAND_LIMIT_MS, {
          environment,
        });
        if (code !== 0) throw new Error(stderr.trim() || `systemd-notify ends with ${code}`);
      } catch (error) {
        this.#log.warn(`the service manager cannot be told ${assignments.join(", ")}: ${messageOf(error)}`);
      } finally {
        this.#unsaid -= 1;
      }
    });
    return this.#saying;
  }
}

/** The mount's state in one line. @param status undefined: nothing is mounted yet */
export function statusLine(status: AnyStatus | undefined): string {
  if (status === undefined) return "asking the network for the newest release";
  const { channels, hydrated, hydration, problem, refused } = status;
  const parts = [
    `${servedInWords(status)} of ${status.canister} at ${status.mountpoint ?? status.site?.url}`,
  ];
  if (hydrated) parts.push("all of it is here");
  else if (hydration !== undefined) parts.push(`${percent(hydration)} of it is here`);
  for (const { next } of channels ?? [status]) {
    if (next !== undefined) parts.push(`${namedInWords(next)} is ${next.state}`);
  }
  if (refused) parts.push("the network's answer is not accepted");
  else if (problem !== undefined) parts.push("the network does not answer");
  return oneLine(parts.join("; "));
}

function percent({ bytes, bytesDone }: { readonly bytes: number; readonly bytesDone: number }): string {
  return `${Math.floor((100 * bytesDone) / Math.max(bytes, 1))} %`;
}
