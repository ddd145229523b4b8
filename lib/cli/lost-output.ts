/** Results that could not be written: Node's console says nothing of that. */

/**
 * Has this process fail, and say why, when something was lost of what it wrote to stdout, on a disk that is full for example. Who reads no
 * further (`icfs ls | head`) wants no more.
 */
export function failOnLostOutput(): void {
  let lost: NodeJS.ErrnoException | undefined;
  process.stdout.on("error", (error) => {
    lost ??= error;
  });
  process.on("exit", (code) => {
    if (code !== 0 || lost === undefined || lost.code === "EPIPE") return;
    console.error(`icfs: the result cannot be written: ${lost.message}`);
    process.exitCode = 1;
  });
}
