/** kinds.long.ts over the original's canister, read through consensus. */
process.env.TEST_SOURCE = "icboot-replicated";
await import("./kinds.long.ts");
