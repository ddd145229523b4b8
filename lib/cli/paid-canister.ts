/**
 * Creates a canister with cycles from the user's account at the cycles ledger, and pays once: the request is written to a file
 * before it is sent (payment.ts), and the same request is repeated until it is answered.
 */
import { randomInt } from "node:crypto";
import type { HttpAgent } from "@icp-sdk/core/agent";
import { Principal } from "@icp-sdk/core/principal";
import { messageOf, UserError } from "../errors.ts";
import { NoSuchCanisterError } from "../ic/call-errors.ts";
import { type CreationError, cyclesLedger, LEDGER_FEE } from "../ic/cycles-ledger.ts";
import type { Network } from "../ic/network.ts";
import { withLock } from "../lock.ts";
import { patiently } from "../publish/patience.ts";
import { cyclesText } from "../units.ts";
import {
  forgetPayment,
  type Payment,
  paymentFile,
  preparePayment,
  readPayment,
  writePayment,
} from "./payment.ts";

export interface PaidCanister {
  readonly canister: Principal;
  /** Whether an earlier deployment, which did not finish, created it. */
  readonly isFromBefore: boolean;
  /** Call this when the canister is ready. The next deployment then pays for another one. */
  forget(): Promise<void>;
}

export interface Payer {
  /** Signs as `owner`. */
  readonly agent: HttpAgent;
  readonly owner: Principal;
  readonly network: Network;
  readonly rootKey: Uint8Array;
}

/**
 * @param amount cycles, without the ledger's fee
 * @param beforehand called before a new request, but not before a repeated one; when it throws, nothing is paid
 * @throws UserError
 */
export async function createWithCycles(
  payer: Payer,
  amount: bigint,
  beforehand: () => Promise<void>,
): Promise<PaidCanister> {
  const file = paymentFile(payer.rootKey);
  preparePayment(file);
  const forget = () => forgetPayment(file);
  return withLock(`${file}.lock`, async () => {
    const before = await readPayment(file);
    if (before !== undefined) mustBeSame(before, payer, amount, file);
    if (before?.canister !== undefined) {
      return { canister: Principal.fromText(before.canister), isFromBefore: true, forget };
    }
    if (before === undefined) await beforehand();
    const payment = before ?? newPayment(payer, amount);
    if (before === undefined) await writePayment(file, payment);
    const canister = await ask(payer, payment, file, before !== undefined);
    await writePayment(file, { ...payment, canister: canister.toText() });
    return { canister, isFromBefore: before !== undefined, forget };
  });
}

function newPayment({ owner }: Payer, amount: bigint): Payment {
  // Random digits: another request with the same key in the same millisecond must be a different one.
  const createdAt = BigInt(Date.now()) * 1_000_000n + BigInt(randomInt(1_000_000));
  return { owner: owner.toText(), amount, createdAt };
}

/** @throws UserError when another request is pending whose result is unknown */
function mustBeSame(before: Payment, { owner }: Payer, amount: bigint, file: string): void {
  if (before.owner === owner.toText() && before.amount === amount) return;
  const what =
    before.canister === undefined
      ? "has had no answer"
      : `has made ${before.canister}, which is not installed`;
  throw new UserError(
    `a deployment with ${cyclesText(before.amount)} of ${before.owner} ${what}: run it again, \`icfs deploy --with-cycles ${before.amount}\` with that identity, which does not pay twice; or give it up by removing ${file}`,
  );
}

/** @param isRepeated whether it may have been sent before. @throws UserError */
async function ask(payer: Payer, payment: Payment, file: string, isRepeated: boolean): Promise<Principal> {
  const { agent, network } = payer;
  let attempts = isRepeated ? 1 : 0;
  let refused: CreationError | undefined;
  try {
    return await patiently(async () => {
      attempts += 1;
      refused = undefined;
      const answer = await cyclesLedger(agent).create_canister({
        from_subaccount: [],
        created_at_time: [payment.createdAt],
        amount: payment.amount,
        creation_args: [],
      });
      if ("Ok" in answer) return answer.Ok.canister_id;
      refused = answer.Err;
      if ("Duplicate" in refused && refused.Duplicate.canister_id.length > 0)
        return refused.Duplicate.canister_id[0]!;
      const { again, message } = refusal(refused, payer, payment, file, attempts === 1);
      throw again ? new Error(message) : new UserError(message);
    });
  } catch (error) {
    if (error instanceof NoSuchCanisterError) {
      await forgetPayment(file);
      throw new UserError(
        `there is no cycles ledger at ${network.url}${network.loopback ? ": canisters cost nothing on a local network, leave --with-cycles out" : ""}`,
      );
    }
    // An earlier attempt may still create a canister, even if a later one is refused.
    const isOver = refused !== undefined && ("FailedToCreate" in refused || attempts === 1);
    if (isOver) await forgetPayment(file);
    if (error instanceof UserError) throw error;
    const unknown = `it is not known whether the canister was made: run the same command again, within a day, which does not pay a second time`;
    throw new UserError(`the cycles ledger: ${messageOf(error)}${isOver ? "" : `; ${unknown}`}`);
  }
}

/**
 * The error for the ledger's refusal, and whether the same request may soon get another answer.
 *
 * @param file holds the request
 * @param isFirst whether it was never sent before
 */
function refusal(
  error: CreationError,
  { owner }: Payer,
  { amount }: Payment,
  file: string,
  isFirst: boolean,
): { readonly again: boolean; readonly message: string } {
  if ("InsufficientFunds" in error) {
    const wanted = amount + LEDGER_FEE;
    const { balance } = error.InsufficientFunds;
    return {
      again: false,
      message: [
        `not enough cycles: ${owner} has ${cyclesText(balance)} at the cycles ledger, and ${cyclesText(wanted)} are wanted, the ledger's fee included. If you have cycles or ICP elsewhere, send the rest with icp-cli:`,
        `  icp cycles mint --cycles ${wanted - balance + LEDGER_FEE} --network ic`,
        `  icp cycles transfer ${wanted - balance} ${owner} --network ic`,
      ].join("\n"),
    };
  }
  if ("FailedToCreate" in error) {
    const [block] = error.FailedToCreate.refund_block;
    const back =
      block === undefined ? "nothing was paid back" : `the cycles are back, except for fees (block ${block})`;
    return { again: false, message: `no canister could be made: ${error.FailedToCreate.error}; ${back}` };
  }
  if ("CreatedInFuture" in error) {
    const time = new Date(Number(error.CreatedInFuture.ledger_time / 1_000_000n)).toISOString();
    return {
      again: false,
      message: `this host's clock is ahead of the cycles ledger's, which says ${time}: set it (\`timedatectl set-ntp true\`), and run this again`,
    };
  }
  if ("TooOld" in error) {
    if (isFirst)
      return {
        again: false,
        message: "this host's clock is more than a day behind the cycles ledger's: set it",
      };
    return {
      again: false,
      message: `the cycles ledger does not know any more what became of this request, which is older than a day: check whether a canister was paid for (\`icp cycles balance --of-principal ${owner} --network ic\`), and remove ${file} to ask for one again`,
    };
  }
  if ("Duplicate" in error) {
    return {
      again: true,
      message: `block ${error.Duplicate.duplicate_of} has this request, and no canister yet: it is being made, or it could not be, and the cycles are back (\`icp cycles balance --of-principal ${owner} --network ic\`). In that case remove ${file}`,
    };
  }
  if ("TemporarilyUnavailable" in error) return { again: true, message: "it cannot answer now" };
  return { again: false, message: `the cycles ledger refuses: ${error.GenericError.message}` };
}
