/** kinds.long.ts over the original's canister. */
process.env.TEST_SOURCE = "icboot";
await import("./kinds.long.ts");
