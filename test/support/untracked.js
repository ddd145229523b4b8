/**
 * Makes programs that a test starts run as they do for users. tap makes every Node below a test's process load a module that tracks
 * coverage, which nobody measures here. With it bin/icfs would take twice as long to start, and would write where some users cannot.
 */
import processOnSpawn from "process-on-spawn";

delete process.env.NODE_OPTIONS;
processOnSpawn.removeAllListeners();
