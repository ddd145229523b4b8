/** icfs umount: unmounts and waits for the daemon to end. */
import { Command } from "commander";
import { UserError } from "../errors.ts";
import { namesOfMounts } from "../fs/mounting/mountinfo.ts";
import { unmount } from "../fs/mounting/unmount.ts";
import { oneLine } from "../log.ts";
import { flag, named } from "./options.ts";

export function umountCommand(): Command {
  return new Command("umount")
    .description("unmount, and wait until the mount's daemon has ended; plain umount works as well")
    .argument("<mountpoint>", "where a canister is mounted", named("a directory"))
    .addOption(flag("-l, --lazy", "even if it is busy: open files stay readable"))
    .action(async (mountpoint: string, { lazy }: { lazy?: boolean }) => {
      const { pid, serverEnded, inside } = await unmount(mountpoint, { lazy: lazy === true });
      if (inside.length > 0)
        console.error(`icfs: what was mounted inside went with it: ${oneLine(namesOfMounts(inside))}`);
      // After a lazy unmount, the daemon lives on for as long as files are open.
      if (!serverEnded && !lazy) {
        throw new UserError(`${mountpoint} is unmounted, but its process ${pid} has not ended`);
      }
    });
}
