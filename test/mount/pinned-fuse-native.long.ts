/** pinned.long.ts over the other transport. */
process.env.TEST_TRANSPORT = "fuse-native";
await import("./pinned.long.ts");
