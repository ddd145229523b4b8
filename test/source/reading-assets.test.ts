/** reading.test.ts over the standard asset canister. */
process.env.TEST_SOURCE = "assets";
await import("./reading.test.ts");
