/** Makes lost output a failure: Node's console ignores write errors. */

/**
 * Makes this process fail with a message when it could not write all of its output, for example to a full disk. A reader that has
 * seen enough (`icfs ls | head`) is not a failure.
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
