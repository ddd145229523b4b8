/** The cycle functions of module `ic0`: a canister's balance, accepting and sending cycles, and costs. */
import { type ApiFunction, type ApiHost, heapAccess } from "./heap-access.ts";
import type { WasmValue } from "./message.ts";
import { TrapError } from "./message-context.ts";

export function cyclesApi(host: ApiHost): Record<string, ApiFunction> {
  const context = host.context;
  const { target } = heapAccess(host);

  const storeCycles = (at: number, cycles: bigint): void => {
    const words = target(at, 16);
    for (let index = 0; index < 16; index++) words[index] = Number((cycles >> BigInt(8 * index)) & 0xffn);
  };
  const accept = (most: bigint): bigint => {
    const left = context().task.cyclesAvailable - context().cyclesAccepted;
    const accepted = most < left ? most : left;
    context().cyclesAccepted += accepted;
    context().balance += accepted;
    return accepted;
  };
  const attach = (name: string, cycles: bigint): void => {
    const { call } = context().openCall(name);
    context().spend(cycles);
    call.cycles += cycles;
  };
  /** For the functions that return cycles in 64 bits. */
  const low64 = (cycles: bigint): bigint => {
    if (cycles >= 1n << 64n)
      throw new TrapError("IC0502", "Canister trapped: the amount of cycles needs 128 bits");
    return cycles;
  };
  const join = (high: bigint, low: bigint): bigint => (high << 64n) | low;
  const liquid = (): bigint => {
    const { freezingLimit } = context().task.environment;
    return context().balance > freezingLimit ? context().balance - freezingLimit : 0n;
  };
  // A canister cannot freeze itself by burning cycles.
  const burn = (wanted: bigint): bigint => {
    const burnt = wanted < liquid() ? wanted : liquid();
    context().spend(burnt);
    return burnt;
  };

  const free = (at: number): void => storeCycles(at, 0n);

  return {
    msg_cycles_available: () => low64(context().task.cyclesAvailable - context().cyclesAccepted),
    msg_cycles_available128: (at: number) =>
      storeCycles(at, context().task.cyclesAvailable - context().cyclesAccepted),
    msg_cycles_refunded: () => low64(context().task.cyclesRefunded),
    msg_cycles_refunded128: (at: number) => storeCycles(at, context().task.cyclesRefunded),
    msg_cycles_accept: (most: bigint) => accept(most),
    msg_cycles_accept128: (high: bigint, low: bigint, at: WasmValue) =>
      storeCycles(Number(at), accept(join(high, low))),
    cycles_burn128: (high: bigint, low: bigint, at: WasmValue) =>
      storeCycles(Number(at), burn(join(high, low))),
    canister_cycle_balance: () => low64(context().balance),
    canister_cycle_balance128: (at: number) => storeCycles(at, context().balance),
    canister_liquid_cycle_balance128: (at: number) => storeCycles(at, liquid()),
    call_cycles_add: (amount: bigint) => attach("call_cycles_add", amount),
    call_cycles_add128: (high: bigint, low: bigint) => attach("call_cycles_add128", join(high, low)),
    // None of these costs anything on this network.
    cost_call: (_name: number, _payload: number, at: number) => free(at),
    cost_create_canister: free,
    cost_http_request: (_request: number, _response: number, at: number) => free(at),
    cost_http_request_v2: (_params: number, _size: number, at: number) => free(at),
    cost_sign_with_ecdsa: (_name: number, _size: number, _curve: number, at: number) => void free(at),
    cost_sign_with_schnorr: (_name: number, _size: number, _algorithm: number, at: number) => void free(at),
    cost_vetkd_derive_key: (_name: number, _size: number, _curve: number, at: number) => void free(at),
  };
}
