/** reading.test.ts over the original's canister, read through consensus. */
process.env.TEST_SOURCE = "icboot-replicated";
await import("./reading.test.ts");
