/** reading.test.ts over the standard asset canister, its list read through consensus. */
process.env.TEST_SOURCE = "assets-replicated";
await import("./reading.test.ts");
