/**
 * Has what a test starts run as it does for users. tap has every Node below a test's process load a module that tracks coverage, which
 * nobody measures here. bin/icfs would take twice as long to start, and write where some may not.
 */
import processOnSpawn from "process-on-spawn";

delete process.env.NODE_OPTIONS;
processOnSpawn.removeAllListeners();
