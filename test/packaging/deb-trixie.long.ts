/** deb.long.ts in a clean Debian 13. */
process.env.TEST_RELEASE = "trixie";
await import("./deb.long.ts");
