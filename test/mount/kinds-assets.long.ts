/** kinds.long.ts over the standard asset canister. */
process.env.TEST_SOURCE = "assets";
await import("./kinds.long.ts");
