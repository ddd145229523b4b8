/**
 * The functions of module `ic0` that read a canister's environment variables, which its controllers set (interface specification,
 * "Environment variables").
 */
import { type ApiFunction, type ApiHost, heapAccess } from "./heap-access.ts";
import { TrapError, violation } from "./message-context.ts";

export function variablesApi(host: ApiHost): Record<string, ApiFunction> {
  const { text, copy } = heapAccess(host);
  const variables = () => host.context().task.environment.variables;
  const nameAt = (index: number): Uint8Array => {
    const found = variables()[index];
    if (found === undefined) throw violation(`there is no environment variable ${index}`);
    return Buffer.from(found.name);
  };
  const find = (at: number, size: number) => {
    const name = text(at, size);
    return variables().find((variable) => variable.name === name);
  };
  const valueAt = (at: number, size: number): Uint8Array => {
    const found = find(at, size);
    if (found === undefined)
      throw new TrapError("IC0502", `Canister trapped: there is no environment variable "${text(at, size)}"`);
    return Buffer.from(found.value);
  };
  return {
    env_var_count: () => variables().length,
    env_var_name_size: (index: number) => nameAt(index).length,
    env_var_name_copy: (index: number, at: number, offset: number, size: number) =>
      copy("env_var_name_copy", at, offset, size, nameAt(index)),
    env_var_name_exists: (at: number, size: number) => (find(at, size) === undefined ? 0 : 1),
    env_var_value_size: (at: number, size: number) => valueAt(at, size).length,
    env_var_value_copy: (name: number, nameSize: number, at: number, offset: number, size: number) =>
      copy("env_var_value_copy", at, offset, size, valueAt(name, nameSize)),
  };
}
