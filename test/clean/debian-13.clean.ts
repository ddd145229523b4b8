import { newcomer } from "./newcomer.ts";

await newcomer("trixie");
