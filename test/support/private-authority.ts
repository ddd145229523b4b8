/** A company's certificate authority, and the certificates that it issues. */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const openssl = promisify(execFile);
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

export interface Authority {
  /** Its certificate in PEM, and the path of that. */
  readonly certificate: string;
  readonly file: string;
  /** Issues a server's key and certificate in PEM, and returns them with their paths. */
  certify(host: string): Promise<{ key: string; cert: string; keyFile: string; certFile: string }>;
}

/** @param directory for its files @param name of the authority, and of its files */
export async function makeAuthority(directory: string, name = "company"): Promise<Authority> {
  const at = (file: string) => join(directory, `${name}-${file}`);
  const [file, key] = [at("ca.pem"), at("ca-key.pem")];
  const ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-days", "2"];
  await openssl("openssl", [
    "req",
    "-x509",
    ...KEY,
    "-keyout",
    key,
    "-out",
    file,
    "-subj",
    `/CN=${name}`,
    ...ca,
  ]);
  return {
    certificate: await readFile(file, "utf8"),
    file,
    async certify(host) {
      const [keyFile, request, certFile, names] = ["key.pem", "csr.pem", "cert.pem", "names"].map((one) =>
        at(`${host}-${one}`),
      ) as [string, string, string, string];
      await writeFile(names, `subjectAltName=DNS:${host}\n`);
      await openssl("openssl", ["req", ...KEY, "-keyout", keyFile, "-out", request, "-subj", `/CN=${host}`]);
      const signed = ["-CA", file, "-CAkey", key, "-CAcreateserial", "-days", "2", "-extfile", names];
      await openssl("openssl", ["x509", "-req", "-in", request, "-out", certFile, ...signed]);
      const [keyText, cert] = await Promise.all([readFile(keyFile, "utf8"), readFile(certFile, "utf8")]);
      return { key: keyText, cert, keyFile, certFile };
    },
  };
}
