/** kinds.long.ts over the standard asset canister, its list read through consensus. */
process.env.TEST_SOURCE = "assets-replicated";
await import("./kinds.long.ts");
