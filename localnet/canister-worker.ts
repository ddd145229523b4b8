/**
 * The worker thread that runs one canister: it loads a module and executes one task after the other. It is a thread
 * because nothing else can stop a canister that loops: the main thread ends the worker and starts another one from
 * the committed state, which is in shared memory.
 */
import { parentPort, workerData } from "node:worker_threads";
import { CanisterInstance } from "./instance.ts";
import { type LoadResult, type Outcome, PHASE, type Task, type WorkerRequest } from "./message.ts";
import { MessageContext, TrapError, trapOf } from "./message-context.ts";

const port = parentPort!;
const phase = new Int32Array(workerData.phase as SharedArrayBuffer);
let instance: CanisterInstance | undefined;

port.on("message", (request: WorkerRequest) => {
  if (request.kind === "load") port.postMessage(load(request));
  else {
    const outcome = execute(request.task);
    const reply =
      outcome.response !== undefined && "reply" in outcome.response ? outcome.response.reply : undefined;
    port.postMessage(outcome, reply === undefined ? [] : [reply.buffer as ArrayBuffer]);
    // The reply is on its way; meanwhile, the committed state is restored.
    instance?.restore(false);
  }
});

function load(request: Extract<WorkerRequest, { kind: "load" }>): LoadResult {
  try {
    instance = new CanisterInstance(request.module, request.state, request.memory, request.copyOnWrite);
    return { error: undefined };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

function execute(task: Task): Outcome {
  if (instance === undefined) throw new Error("a task before a module");
  const context = new MessageContext(task);
  const stays = context.isLasting;
  try {
    instance.restore(stays);
    if (task.callback !== undefined) instance.runCallback(context, task.callback);
    else instance.run(context, exportOf(task), task.entry === "init" || task.entry === "post_upgrade");
  } catch (error) {
    return { ...outcomeOf(context), trap: trapOf(error) };
  }
  if (!stays) return outcomeOf(context);
  if (Atomics.compareExchange(phase, 0, PHASE.running, PHASE.committing) !== PHASE.running) {
    // The time limit has passed and the main thread is about to end this thread.
    return {
      ...outcomeOf(context),
      trap: trapOf(new TrapError("IC0522", "Canister exceeded the time limit")),
    };
  }
  return { ...outcomeOf(context), delta: instance.commit() };
}

function outcomeOf(context: MessageContext): Outcome {
  return {
    trap: undefined,
    response: context.response,
    accepted: context.accepted,
    calls: context.calls,
    certifiedData: context.certifiedData,
    globalTimer: context.globalTimer,
    cyclesAccepted: context.cyclesAccepted,
    balance: context.balance,
    elapsed: (performance.now() - context.started) * 1e6,
    printed: context.printed,
    delta: undefined,
  };
}

/** The name under which the module exports the task's entry point. */
function exportOf(task: Task): string {
  const isMethod = task.entry === "update" || task.entry === "query" || task.entry === "composite_query";
  return isMethod ? `canister_${task.entry} ${task.method}` : `canister_${task.entry}`;
}
