/** clients.test.ts over fuse-native. */
process.env.TEST_TRANSPORT = "fuse-native";
await import("./clients.test.ts");
