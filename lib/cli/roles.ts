/** icfs roles: shows who has which rights on a canister. Its controllers are certified; the rest is the canister's own report. */
import { Command } from "commander";
import { controllersOf } from "../ic/controllers.ts";
import { promotersOf } from "../icfs-canister.ts";
import { jsonLine } from "../log.ts";
import { reader } from "./calls.ts";
import { flag, type NetworkOptions, withNetwork } from "./options.ts";

interface RolesOptions extends NetworkOptions {
  readonly json?: boolean;
}

export function rolesCommand(): Command {
  const command = new Command("roles")
    .description("list a canister's owners, publishers, promoters and readers")
    .argument("<canister>", "canister id")
    .addOption(
      flag("--json", "print one object: private, controllers, owner, publishers, promoters, readers"),
    );
  return withNetwork(command, "none, anonymous").action(roles);
}

async function roles(canisterId: string, options: RolesOptions): Promise<void> {
  const { address, agent, canister, explained } = await reader(canisterId, options);
  const deed = { what: "tell its roles", by: "reader" } as const;
  const { owner, is_private } = await explained(canister.status(), deed);
  const granted = await explained(canister.roles_granted(), deed);
  const promoters = (await explained(promotersOf(canister), deed)) ?? [];
  const controllers = await controllersOf(agent, address.canister, address.rootKey);
  const having = (role: "publisher" | "reader") =>
    granted.filter(([, has]) => role in has).map(([who]) => who.toText());
  const result = {
    private: is_private,
    controllers: controllers.map((controller) => controller.toText()),
    owner: owner.toText(),
    publishers: having("publisher"),
    promoters: promoters.map((who) => who.toText()),
    readers: having("reader"),
  };
  console.log(options.json ? jsonLine(result) : describe(result));
}

interface Roles {
  readonly private: boolean;
  readonly controllers: readonly string[];
  /** The principal that installed the canister, or was named at installation. */
  readonly owner: string;
  readonly publishers: readonly string[];
  readonly promoters: readonly string[];
  readonly readers: readonly string[];
}

function describe({ private: isPrivate, controllers, owner, publishers, promoters, readers }: Roles): string {
  return [
    ...controllers.map((who) => `owner      ${who} (controller)`),
    ...(controllers.includes(owner) ? [] : [`owner      ${owner}`]),
    ...publishers.map((who) => `publisher  ${who}`),
    ...promoters.map((who) => `promoter   ${who}`),
    ...readers.map((who) => `reader     ${who}`),
    isPrivate ? "private: nobody else may read" : "anybody can read",
  ].join("\n");
}
