/** all-channels.test.ts over the other transport. */
process.env.TEST_TRANSPORT = "fuse-native";
await import("./all-channels.test.ts");
