/** reading.test.ts over the original's canister. */
process.env.TEST_SOURCE = "icboot";
await import("./reading.test.ts");
