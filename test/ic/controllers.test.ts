import { Principal } from "@icp-sdk/core/principal";
import t from "tap";
import { decodeControllers } from "../../lib/ic/controllers.ts";

t.test("controllers are decoded from a subnet's CBOR, and anything else is refused", async (t) => {
  const two = Buffer.from("d9d9f78241044102", "hex");
  t.same(
    decodeControllers(two).map((controller) => controller.toText()),
    [Principal.anonymous().toText(), Principal.fromUint8Array(Uint8Array.of(2)).toText()],
  );
  t.same(decodeControllers(Buffer.from("d9d9f780", "hex")), [], "a canister without controllers");
  const bad = ["", "8241044102", "d9d9f682410441", "d9d9f7824104", "d9d9f7814104ff", "d9d9f79affffffff"];
  for (const cbor of bad)
    t.throws(() => decodeControllers(Buffer.from(cbor, "hex")), { name: "FormatError" }, cbor);
});
