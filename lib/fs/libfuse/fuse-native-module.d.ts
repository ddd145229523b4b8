/** The part of fuse-native 2.2.6 that is used, from its index.js; the package comes without types. */

declare module "fuse-native" {
  /** Answers the kernel: 0 or a negative errno first, then the operation's results. To be called exactly once. */
  export type Reply = (result: number, ...values: unknown[]) => void;

  class Fuse {
    /** `timeout`: after which the package itself answers ETIMEDOUT; false for never. */
    constructor(mountpoint: string, operations: object, options: { timeout: false });
    /** Calls back once the kernel has greeted the new file system, or with the reason why not. */
    mount(callback: (error: Error | null) => void): void;
    /** The argument given to libfuse: `-oA,B=C`. */
    protected _fuseOptions(): string;
    protected _op_getxattr(reply: Reply, path: string, name: string, value: Buffer): void;
    protected _op_listxattr(reply: Reply, path: string, list: Buffer): void;
  }

  export default Fuse;
}
