/** versions.test.ts for a minute of flips, over fuse-native. */
process.env.TEST_VERSIONS_SECONDS = "60";
process.env.TEST_TRANSPORT = "fuse-native";
await import("./versions.test.ts");
