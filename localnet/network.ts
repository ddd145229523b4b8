/**
 * The network itself: its canisters, the calls between them and from outside, and its certificates.
 */
import { Principal } from "@icp-sdk/core/principal";
import { Canister } from "./canister.ts";
import type { CanisterHost, CertifiedCanister } from "./canister-host.ts";
import { Certification, type RangesShown } from "./certification.ts";
import type { Request } from "./ingress.ts";
import { keysOf, newSecrets } from "./keys.ts";
import { MANAGEMENT_CANISTER, ManagementCanister } from "./management.ts";
import type { ManagementHost } from "./management-method.ts";
import type { OutgoingCall } from "./message.ts";
import { ingressCost } from "./prices.ts";
import { type CallRecord, RequestHistory } from "./request-history.ts";
import { canisterError, REJECT_CODE, RejectError, type Response, rejectOf } from "./response.ts";
import { CanisterRuntime } from "./runtime.ts";
import type { StateDirectory } from "./state-directory.ts";
import { CANISTER, CERTIFIED_DATA, canistersTree } from "./state-tree.ts";

type CallRequest = Extract<Request, { canister_id: Uint8Array }>;
/** A call, regardless of who sent it and how. */
type Call = Pick<CallRequest, "canister_id" | "method_name" | "arg" | "sender">;

/**
 * Where counted canister ids start: far from the low numbers of the IC's well-known canisters, and where other local
 * networks also start (lxzze-o7777-77777-aaaaa-cai).
 */
const FIRST_ID = 0xffff_ffff_ffe0_0000n;
/** The two bytes at the end of a canister's id. */
const ID_MARK = Buffer.of(1, 1);
/** How long a query may get the same data certificate, while the certified data stays the same. */
const DATA_CERTIFICATE_MS = 1000;

interface DataCertificate {
  readonly data: Uint8Array;
  readonly made: number;
  readonly certificate: Uint8Array;
}

export class Network implements CanisterHost, ManagementHost {
  readonly canisters = new Map<string, Canister>();
  readonly certification: Certification;
  readonly history: RequestHistory;
  readonly log: (line: string) => void;
  readonly #management: ManagementCanister;
  readonly #timeOffset: bigint;
  readonly #consensus: () => Promise<void>;
  /** The last certificates of each canister, by the form of their ranges. */
  readonly #dataCertificates = {
    flat: new WeakMap<CertifiedCanister, DataCertificate>(),
    sharded: new WeakMap<CertifiedCanister, DataCertificate>(),
  };
  /** Calls that are being checked, by request id, so that the same one does not run twice. */
  readonly #submitted = new Map<string, Promise<CallRecord>>();
  readonly #timeLimit: number;
  readonly #runtimes = new Set<CanisterRuntime>();
  readonly #directory: StateDirectory | undefined;
  readonly #failed = Promise.withResolvers<Error>();
  #closing = false;
  #nextId: bigint;

  /**
   * @param timeLimit milliseconds one message may run
   * @param timeOffset milliseconds by which the network's clock is ahead
   * @param consensus resolves when an update call may run
   * @param directory where keys and canisters are kept, if they outlive the network; the network closes it
   */
  constructor(
    timeLimit: number,
    timeOffset: number,
    consensus: () => Promise<void>,
    log: (line: string) => void,
    directory: StateDirectory | undefined,
  ) {
    this.#timeLimit = timeLimit;
    this.#timeOffset = BigInt(timeOffset) * 1_000_000n;
    this.#consensus = consensus;
    this.log = log;
    this.#management = new ManagementCanister(this);
    this.history = new RequestHistory(() => this.stateChanged());
    this.certification = new Certification(
      keysOf(directory?.secrets ?? newSecrets()),
      () => this.now(),
      () => [
        ["canister", canistersTree(this.canisters.values())],
        ["request_status", this.history.tree()],
      ],
    );
    this.#directory = directory;
    this.#nextId = directory?.nextId ?? FIRST_ID;
  }

  get subnet(): Uint8Array {
    return this.certification.subnet;
  }

  get rootKey(): Uint8Array {
    return this.certification.rootKey;
  }

  now(): bigint {
    return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n + this.#timeOffset;
  }

  stateChanged(): void {
    this.certification.stateChanged();
  }

  /** Restores the kept canisters. @throws Error when they are damaged */
  restoreCanisters(): void {
    for (const [id, store] of this.#directory?.openCanisters() ?? []) {
      const saved = store.load();
      const { controllers, cycles } = saved.kept;
      const canister = new Canister(this, Principal.fromText(id).toUint8Array(), controllers, cycles);
      canister.restore(saved);
      canister.keeper.store = store;
      this.canisters.set(id, canister);
    }
  }

  /** Resolves when the network's state can no longer be kept, and it must end. */
  get failed(): Promise<Error> {
    return this.#failed.promise;
  }

  storeFailed(error: unknown): void {
    const reason = (error as Error).message;
    this.#failed.resolve(new Error(`the state in ${this.#directory?.path} cannot be kept: ${reason}`));
  }

  canister(id: Uint8Array): Canister {
    const text = Principal.fromUint8Array(id).toText();
    const found = this.canisters.get(text);
    if (found === undefined) {
      throw new RejectError(REJECT_CODE.destinationInvalid, "IC0301", `Canister ${text} not found`);
    }
    return found;
  }

  createCanister(controllers: Uint8Array[], cycles: bigint, wanted: Uint8Array | undefined): Canister {
    const canister = new Canister(this, wanted ?? this.#freeId(), controllers, cycles);
    if (wanted !== undefined && (wanted.length !== 10 || Buffer.compare(wanted.subarray(8), ID_MARK) !== 0)) {
      throw canisterError("IC0408", `The specified_id ${canister.text} is not a canister id.`);
    }
    if (this.canisters.has(canister.text))
      throw canisterError("IC0205", `Canister ${canister.text} is already installed.`);
    canister.keeper.store = this.#directory?.createCanister(canister.text, canister.kept());
    this.canisters.set(canister.text, canister);
    this.stateChanged();
    return canister;
  }

  removeCanister(canister: Canister): void {
    this.canisters.delete(canister.text);
    const { store } = canister.keeper;
    canister.keeper.store = undefined;
    if (store !== undefined) this.#directory?.removeCanister(store);
    this.stateChanged();
  }

  dataCertificate(canister: CertifiedCanister, ranges: RangesShown): Uint8Array {
    const certificates = this.#dataCertificates[ranges === "flat" ? "flat" : "sharded"];
    const known = certificates.get(canister);
    const data = canister.certifiedData;
    const made = performance.now();
    if (known?.data === data && made - known.made < DATA_CERTIFICATE_MS) return known.certificate;
    const certificate = this.certification.certificate([[CANISTER, canister.id, CERTIFIED_DATA]], ranges);
    certificates.set(canister, { data, made, certificate });
    return certificate;
  }

  async call(caller: Uint8Array, call: OutgoingCall): Promise<{ response: Response; refund: bigint }> {
    const { method, argument, cycles } = call;
    if (call.callee.length === 0) {
      const request = { method, argument, caller, fromCanister: true, cycles };
      const { reply, refund } = await this.#management.execute(request);
      return { response: { reply }, refund };
    }
    return this.canister(call.callee).update(method, argument, caller, cycles);
  }

  /** Executes a query from outside. @param ranges of the certificate that the canister gets over its certified data */
  async query(request: Call, ranges: RangesShown): Promise<Response> {
    try {
      const callee = this.canister(request.canister_id);
      return await callee.query(request.method_name, request.arg, request.sender, ranges);
    } catch (error) {
      return { reject: rejectOf(error) };
    }
  }

  /**
   * Accepts an update call from outside. A repeated request is the same call.
   *
   * @throws RejectError when the network or the canister refuses it
   */
  async submit(request: CallRequest): Promise<CallRecord> {
    const known = this.history.find(request.id);
    if (known !== undefined) return known;
    const key = Buffer.from(request.id).toString("hex");
    const submitted =
      this.#submitted.get(key) ?? this.#take(request).finally(() => this.#submitted.delete(key));
    this.#submitted.set(key, submitted);
    return submitted;
  }

  /** An update call from a gateway, which waits for its answer. */
  async update(request: Call): Promise<Response> {
    // About as long as its envelope would be.
    const size = request.method_name.length + request.arg.length;
    try {
      return await (await this.#accept(request, size))();
    } catch (error) {
      return { reject: rejectOf(error) };
    }
  }

  startRuntime(): CanisterRuntime {
    if (this.#closing) throw new RejectError(REJECT_CODE.sysFatal, "IC0000", "The local network is closing.");
    for (const runtime of this.#runtimes) if (runtime.ended) this.#runtimes.delete(runtime);
    const runtime = new CanisterRuntime(this.#timeLimit);
    this.#runtimes.add(runtime);
    return runtime;
  }

  /** Ends every worker; whatever waits for one gets a reject. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const canister of this.canisters.values()) canister.close();
    await Promise.all(Array.from(this.#runtimes, (runtime) => runtime.close()));
    this.#directory?.close();
  }

  async #take(request: CallRequest): Promise<CallRecord> {
    const execute = await this.#accept(request, request.size);
    const answer = execute().catch((error: unknown) => ({ reject: rejectOf(error) }));
    return this.history.add(request.id, request.sender, answer);
  }

  /**
   * Checks whether an update call is accepted, and charges for it.
   *
   * @param size bytes of its envelope
   * @returns a function that runs it once consensus has been reached
   * @throws RejectError when it is refused
   */
  async #accept(request: Call, size: number): Promise<() => Promise<Response>> {
    const { canister_id, method_name: method, arg: argument, sender: caller } = request;
    const cost = ingressCost(size);
    if (Buffer.compare(canister_id, MANAGEMENT_CANISTER) === 0) {
      const call = { method, argument, caller, fromCanister: false, cycles: 0n };
      this.#management.inspect(call, cost);
      return async () => {
        await this.#consensus();
        return { reply: (await this.#management.execute(call)).reply };
      };
    }
    await this.canister(canister_id).inspect(method, argument, caller, cost);
    return async () => {
      await this.#consensus();
      return (await this.canister(canister_id).update(method, argument, caller, 0n)).response;
    };
  }

  #freeId(): Uint8Array {
    for (;;) {
      const id = Buffer.alloc(10);
      id.writeBigUInt64BE(this.#nextId);
      id.set(ID_MARK, 8);
      this.#nextId += 1n;
      const bytes = new Uint8Array(id);
      if (this.canisters.has(Principal.fromUint8Array(bytes).toText())) continue;
      if (this.#directory !== undefined) this.#directory.nextId = this.#nextId;
      return bytes;
    }
  }
}
