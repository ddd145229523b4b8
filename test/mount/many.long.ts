/** many.test.ts with a thousand mounts. */
process.env.TEST_MOUNTS = "1000";
await import("./many.test.ts");
