/** versions.test.ts for three minutes of flips, over the kernel transport. */
process.env.TEST_VERSIONS_SECONDS = "180";
await import("./versions.test.ts");
