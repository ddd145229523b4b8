/**
 * A canister in AssemblyScript: 32-bit memory, a garbage collector, a start function, and a compiler that has nothing to
 * do with Motoko's. Arguments and replies are text or bytes, not Candid. A name cannot have a space in it here, so that
 * `canister_query_get` stands for `canister_query get` (see ../../assemblyscript.ts).
 */
@external("ic0", "msg_arg_data_size") declare function argumentSize(): i32;
@external("ic0", "msg_arg_data_copy") declare function argumentCopy(to: usize, offset: i32, size: i32): void;
@external("ic0", "msg_caller_size") declare function callerSize(): i32;
@external("ic0", "msg_caller_copy") declare function callerCopy(to: usize, offset: i32, size: i32): void;
@external("ic0", "msg_reply_data_append") declare function replyAppend(at: usize, size: i32): void;
@external("ic0", "msg_reply") declare function reply(): void;
@external("ic0", "msg_reject_code") declare function rejectCode(): i32;
@external("ic0", "msg_reject_msg_size") declare function rejectMessageSize(): i32;
@external("ic0", "msg_reject_msg_copy") declare function rejectMessageCopy(to: usize, offset: i32, size: i32): void;
@external("ic0", "msg_method_name_size") declare function methodSize(): i32;
@external("ic0", "msg_method_name_copy") declare function methodCopy(to: usize, offset: i32, size: i32): void;
@external("ic0", "accept_message") declare function acceptMessage(): void;
@external("ic0", "call_new") declare function callNew(
  callee: usize, calleeSize: i32, name: usize, nameSize: i32, onReply: i32, replyEnv: i32, onReject: i32, rejectEnv: i32): void;
@external("ic0", "call_on_cleanup") declare function callOnCleanup(fun: i32, env: i32): void;
@external("ic0", "call_data_append") declare function callAppend(at: usize, size: i32): void;
@external("ic0", "call_cycles_add128") declare function callCyclesAdd(high: i64, low: i64): void;
@external("ic0", "call_perform") declare function callPerform(): i32;
@external("ic0", "canister_cycle_balance128") declare function cycleBalance(to: usize): void;
@external("ic0", "stable64_size") declare function stableSize(): i64;
@external("ic0", "stable64_grow") declare function stableGrow(pages: i64): i64;
@external("ic0", "stable64_write") declare function stableWrite(offset: i64, at: i64, size: i64): void;
@external("ic0", "stable64_read") declare function stableRead(to: i64, offset: i64, size: i64): void;
@external("ic0", "certified_data_set") declare function certify(at: usize, size: i32): void;
@external("ic0", "data_certificate_present") declare function certificatePresent(): i32;
@external("ic0", "data_certificate_size") declare function certificateSize(): i32;
@external("ic0", "data_certificate_copy") declare function certificateCopy(to: usize, offset: i32, size: i32): void;
@external("ic0", "time") declare function now(): i64;
@external("ic0", "global_timer_set") declare function setTimer(time: i64): i64;
@external("ic0", "performance_counter") declare function counter(kind: i32): i64;
@external("ic0", "debug_print") declare function debugPrint(at: usize, size: i32): void;
@external("ic0", "trap") declare function ic0Trap(at: usize, size: i32): void;

class Note {
  constructor(public text: string, public written: i64) {}
}

const notes = new Map<string, Note>();
const ballast = new Array<Uint8Array>();
// Globals of each number type. The start function sets them, before the first message.
let fired: i32 = 0;
let lastWrite: i64 = -1;
let mean: f64 = f64(notes.size) + 0.5;
let half: f32 = 0.5;
/** Called through the table. */
let decorate: (text: string) => string = (text: string): string => "<" + text + ">";

function utf8(text: string): ArrayBuffer { return String.UTF8.encode(text); }
function at(bytes: ArrayBuffer): usize { return changetype<usize>(bytes); }

function argument(): ArrayBuffer {
  const bytes = new ArrayBuffer(argumentSize());
  argumentCopy(at(bytes), 0, bytes.byteLength);
  return bytes;
}
function argumentText(): string { return String.UTF8.decode(argument()); }

function replyBytes(bytes: ArrayBuffer): void {
  replyAppend(at(bytes), bytes.byteLength);
  reply();
}
function replyText(text: string): void { replyBytes(utf8(text)); }

function trap(message: string): void {
  const bytes = utf8(message);
  ic0Trap(at(bytes), bytes.byteLength);
}

/** The compiler calls this when the program fails. */
export function onAbort(message: string | null, file: string | null, line: u32, column: u32): void {
  trap("aborted: " + (message === null ? "" : message));
}

function put(argument: string): void {
  const equals = argument.indexOf("=");
  lastWrite = now();
  notes.set(argument.substring(0, equals), new Note(argument.substring(equals + 1), lastWrite));
  mean += 1;
  half += 0.25;
}

export function canister_init(): void {
  if (argumentSize() > 0) put("initial=" + argumentText());
  const line = utf8("initialised");
  debugPrint(at(line), line.byteLength);
}

export function canister_update_put(): void { put(argumentText()); replyText(notes.size.toString()); }
export function canister_query_putQuery(): void { put(argumentText()); replyText(notes.size.toString()); }
export function canister_update_putThenTrap(): void { put(argumentText()); trap("put and taken back"); }
export function canister_query_get(): void {
  const key = argumentText();
  if (!notes.has(key)) trap("no note " + key);
  replyText(decorate(notes.get(key).text));
}
export function canister_query_numbers(): void {
  replyText([notes.size.toString(), fired.toString(), mean.toString(), half.toString(), (lastWrite > 0).toString()].join(" "));
}
export function canister_query_outOfBounds(): void { replyText(ballast[1000].length.toString()); }
export function canister_query_divide(): void { replyText((100 / i32(argumentSize())).toString()); }
export function canister_update_plain(): void {
  decorate = (text: string): string => text;
  replyText("");
}

/** Allocates as many MiB more as the argument says, and replies with the number of memory pages. */
export function canister_update_fill(): void {
  for (let left = i32.parse(argumentText()); left > 0; left--) ballast.push(new Uint8Array(1 << 20).fill(u8(left)));
  replyText(memory.size().toString());
}
export function canister_query_ballast(): void {
  let sum: i64 = 0;
  for (let index = 0; index < ballast.length; index++) {
    const part = ballast[index];
    for (let byte = 0; byte < part.length; byte++) sum += unchecked(part[byte]);
  }
  replyText(sum.toString() + (counter(0) > 0 ? "" : " no counter"));
}

export function canister_query_caller(): void {
  const caller = new ArrayBuffer(callerSize());
  callerCopy(at(caller), 0, caller.byteLength);
  replyBytes(caller);
}

export function canister_update_certify(): void {
  const data = argument();
  certify(at(data), data.byteLength);
  replyText("");
}
export function canister_query_certificate(): void {
  if (!certificatePresent()) trap("no certificate");
  const certificate = new ArrayBuffer(certificateSize());
  certificateCopy(at(certificate), 0, certificate.byteLength);
  replyBytes(certificate);
}

export function canister_update_arm(): void { setTimer(now()); replyText(""); }
export function canister_global_timer(): void { fired += 1; }

export function canister_inspect_message(): void {
  const method = new ArrayBuffer(methodSize());
  methodCopy(at(method), 0, method.byteLength);
  if (String.UTF8.decode(method) != "refused") acceptMessage();
}
export function canister_update_refused(): void { replyText("not to be reached"); }

/** The argument is the 10 bytes of a canister's id, and the argument for its method `get`. */
export function canister_update_relay(): void {
  const callee = argument();
  const name = utf8("get");
  callNew(at(callee), 10, at(name), name.byteLength, onReply.index, 7, onReject.index, 8);
  callOnCleanup(onCleanup.index, 9);
  callAppend(at(callee) + 10, callee.byteLength - 10);
  callCyclesAdd(0, 1000);
  if (callPerform() != 0) trap("the call was not made");
  put("relayed=" + callee.byteLength.toString());
}
function onReply(env: i32): void {
  const answer = argumentText();
  if (answer == "<trap>") { put("lost=x"); trap("in the callback"); }
  replyText("reply " + env.toString() + " " + answer);
}
function onReject(env: i32): void {
  const message = new ArrayBuffer(rejectMessageSize());
  rejectMessageCopy(at(message), 0, message.byteLength);
  replyText("reject " + env.toString() + " " + rejectCode().toString() + " " + String.UTF8.decode(message));
}
function onCleanup(env: i32): void { put("cleanup=" + env.toString()); }

export function canister_query_cycles(): void {
  const balance = new ArrayBuffer(16);
  cycleBalance(at(balance));
  replyText(load<i64>(at(balance)).toString());
}

/** An upgrade clears the main memory, as usual. The notes survive as text in stable memory. */
export function canister_pre_upgrade(): void {
  const keys = notes.keys();
  const lines = new Array<string>();
  for (let index = 0; index < keys.length; index++) lines.push(keys[index] + "=" + notes.get(keys[index]).text);
  const saved = utf8(lines.join("\n"));
  const size = i64(saved.byteLength);
  if (stableSize() == 0) stableGrow(1 + size / 65536);
  const length = new Int64Array(1);
  length[0] = size;
  stableWrite(0, i64(length.dataStart), 8);
  stableWrite(8, i64(at(saved)), size);
}
export function canister_post_upgrade(): void {
  const length = new Int64Array(1);
  stableRead(i64(length.dataStart), 0, 8);
  const saved = new ArrayBuffer(i32(length[0]));
  stableRead(i64(at(saved)), 8, length[0]);
  const lines = String.UTF8.decode(saved).split("\n");
  for (let index = 0; index < lines.length; index++) put(lines[index]);
}
