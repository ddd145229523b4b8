/** versions.test.ts for a minute of flips, over the kernel transport. */
process.env.TEST_VERSIONS_SECONDS = "60";
await import("./versions.test.ts");
