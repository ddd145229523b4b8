/** versions.test.ts for three minutes of flips, over fuse-native. */
process.env.TEST_VERSIONS_SECONDS = "180";
process.env.TEST_TRANSPORT = "fuse-native";
await import("./versions.test.ts");
