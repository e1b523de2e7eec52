// Reads a list of jobs {op, ...} as JSON from standard input and prints the list of their answers: one start of node
// for many questions. Bytes are hex; containers are directories. A job that fails answers {error}.
import { ml_kem1024_p384, ml_kem768_x25519 } from "@noble/post-quantum/hybrid.js";
import { ml_dsa65, ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import { ml_kem1024, ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openContainer, PQT_1_WITH_NOBLE, SUITES, writeCanonical, writeContainer } from "./container.mjs";

const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
const hex = (array) => Buffer.from(array).toString("hex");
const NOBLE = { "ML-DSA-65": ml_dsa65, "ML-DSA-87": ml_dsa87, "ML-KEM-768": ml_kem768, "ML-KEM-1024": ml_kem1024,
  "MLKEM768-X25519": ml_kem768_x25519, "MLKEM1024-P384": ml_kem1024_p384 };
// Imported when it is asked for: it is large, and most runs do without it.
const openLiboqs = async (algorithm) => (await import("@oqs/liboqs-js"))[`create${algorithm.replace("-", "").replace("-", "")}`]();
const load = (directory) => ({
  payload: readFileSync(join(directory, "payload")),
  manifestJson: readFileSync(join(directory, "manifest.json")),
  envelopeJson: readFileSync(join(directory, "envelope.json")),
});

const operations = {
  canonical: ({ document }) => ({ text: writeCanonical(document) }),
  nobleKeys: ({ algorithm, seed }) => ({ publicKey: hex(NOBLE[algorithm].keygen(bytes(seed)).publicKey) }),
  nobleSign: ({ algorithm, seed, message, context }) => {
    const { secretKey } = NOBLE[algorithm].keygen(bytes(seed));
    return { signature: hex(NOBLE[algorithm].sign(bytes(message), secretKey, { context: bytes(context) })) };
  },
  nobleVerify: ({ algorithm, publicKey, message, context, signature }) => ({
    valid: NOBLE[algorithm].verify(bytes(signature), bytes(message), bytes(publicKey), { context: bytes(context) }),
  }),
  nobleEncapsulate: ({ algorithm, publicKey }) => {
    const { cipherText, sharedSecret } = NOBLE[algorithm].encapsulate(bytes(publicKey));
    return { ciphertext: hex(cipherText), sharedSecret: hex(sharedSecret) };
  },
  nobleDecapsulate: ({ algorithm, seed, ciphertext }) => {
    const { secretKey } = NOBLE[algorithm].keygen(bytes(seed));
    return { sharedSecret: hex(NOBLE[algorithm].decapsulate(bytes(ciphertext), secretKey)) };
  },
  liboqsEncapsulate: async ({ algorithm, publicKey }) => {
    const { ciphertext, sharedSecret } = (await openLiboqs(algorithm)).encapsulate(bytes(publicKey));
    return { ciphertext: hex(ciphertext), sharedSecret: hex(sharedSecret) };
  },
  // liboqs takes the expanded secret key; noble expands the seed to the same FIPS 203 encoding.
  liboqsDecapsulate: async ({ algorithm, seed, ciphertext }) => {
    const { secretKey } = NOBLE[algorithm].keygen(bytes(seed));
    return { sharedSecret: hex((await openLiboqs(algorithm)).decapsulate(bytes(ciphertext), secretKey)) };
  },
  liboqsSign: async ({ algorithm, message }) => {
    const signer = await openLiboqs(algorithm);
    const { publicKey, secretKey } = signer.generateKeyPair();
    return { publicKey: hex(publicKey), signature: hex(signer.sign(bytes(message), secretKey)) };
  },
  liboqsVerify: async ({ algorithm, publicKey, message, signature }) => ({
    valid: (await openLiboqs(algorithm)).verify(bytes(message), bytes(signature), bytes(publicKey)),
  }),
  openContainer: async ({ directory, seed, output, hpke }) => {
    const suites = hpke === "noble" ? { ...SUITES, "PQT-1": PQT_1_WITH_NOBLE } : SUITES;
    const { plaintext, signer, wrapper, manifest } = await openContainer(load(directory), bytes(seed), suites);
    writeFileSync(output, plaintext);
    return { signer, wrapper, metadata: manifest.metadata };
  },
  writeContainer: async ({ directory, plaintext, suiteId, transferId, sender, signingSeed, recipients, partSize, metadata }) => {
    const names = { suiteId, transferId, sender, partSize, metadata, signingSeed: bytes(signingSeed), recipients: recipients.map(bytes) };
    const container = await writeContainer(readFileSync(plaintext), names);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "payload"), container.payload);
    writeFileSync(join(directory, "manifest.json"), container.manifestJson);
    writeFileSync(join(directory, "envelope.json"), container.envelopeJson);
    return {};
  },
};

const answers = [];
for (const { op, ...job } of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    answers.push(await operations[op](job));
  } catch (error) {
    answers.push({ error: String(error?.message ?? error) });
  }
}
process.stdout.write(JSON.stringify(answers));
