/** many.test.ts with 300 mounts. */
process.env.TEST_MOUNTS = "300";
await import("./many.test.ts");
