// A second implementation of docs/spec/container.md, written from the specification alone. It shares no code and no
// library with the Python one: ML-DSA and ML-KEM are @noble/post-quantum's, HPKE of PQT-1 is @hpke/core's, HPKE of
// PQT-2 is RFC 9180 over noble's MLKEM1024-P384, the rest is node:crypto.
import { Aes256Gcm, CipherSuite, HkdfSha256 } from "@hpke/core";
import { XWing } from "@hpke/hybridkem-x-wing";
import { ml_kem1024_p384, ml_kem768_x25519 } from "@noble/post-quantum/hybrid.js";
import { ml_dsa65, ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";

const SEGMENT = 1 << 20;
const CAPACITY = SEGMENT - 32;
const text = (string) => Buffer.from(string, "utf8");
const number = (value, length) => {
  const bytes = Buffer.alloc(length);
  for (let i = length - 1, rest = BigInt(value); i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 255n);
  return bytes;
};
const sha256 = (data) => createHash("sha256").update(data).digest();
const fail = (reason) => { throw new Error(`refused: ${reason}`); };

// --- Canonical JSON (RFC 8785) for objects of strings and integers; base64; key ids -----------------------------------
export function writeCanonical(value) {
  if (Array.isArray(value)) return `[${value.map(writeCanonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${writeCanonical(value[name])}`).join(",")}}`;
}
const canonical = (value) => text(writeCanonical(value));
export function readCanonical(bytes) {
  const document = JSON.parse(bytes.toString("utf8"));
  return canonical(document).equals(bytes) ? document : fail("not canonical JSON");
}
const keyId = (purpose, suite, raw) =>
  sha256(canonical({ format: "pqtransfer-public-key/1", purpose, raw: Buffer.from(raw).toString("base64"), suite_id: suite })).toString("hex");

// --- HKDF (RFC 5869) and HPKE base mode (RFC 9180, section 5.1) --------------------------------------------------------
const extract = (hash, salt, ikm) => createHmac(hash, salt.length ? salt : Buffer.alloc(createHash(hash).digest().length)).update(ikm).digest();
function expand(hash, key, info, length) {
  let [block, output] = [Buffer.alloc(0), Buffer.alloc(0)];
  for (let i = 1; output.length < length; i++) {
    block = createHmac(hash, key).update(block).update(info).update(Buffer.from([i])).digest();
    output = Buffer.concat([output, block]);
  }
  return output.subarray(0, length);
}
function hpkeKeys(suite, sharedSecret, info) {
  const id = Buffer.concat([text("HPKE"), number(suite.kemId, 2), number(suite.kdfId, 2), number(2, 2)]);
  const labeledExtract = (salt, label, ikm) => extract(suite.hash, salt, Buffer.concat([text("HPKE-v1"), id, text(label), ikm]));
  const labeledExpand = (key, label, context, length) =>
    expand(suite.hash, key, Buffer.concat([number(length, 2), text("HPKE-v1"), id, text(label), context]), length);
  const none = Buffer.alloc(0);
  const context = Buffer.concat([number(0, 1), labeledExtract(none, "psk_id_hash", none), labeledExtract(none, "info_hash", info)]);
  const secret = labeledExtract(sharedSecret, "secret", none);
  return { key: labeledExpand(secret, "key", context, 32), nonce: labeledExpand(secret, "base_nonce", context, 12) };
}
const nobleHpke = {
  async seal(suite, publicKey, info, plaintext) {
    const { cipherText, sharedSecret } = suite.kem.encapsulate(publicKey);
    const { key, nonce } = hpkeKeys(suite, sharedSecret, info);
    return { enc: Buffer.from(cipherText), sealed: gcmSeal(key, nonce, Buffer.alloc(0), plaintext) };
  },
  async open(suite, seed, enc, info, sealed) {
    const { key, nonce } = hpkeKeys(suite, suite.kem.decapsulate(enc, seed), info);
    return gcmOpen(key, nonce, Buffer.alloc(0), sealed);
  },
};
const libraryHpke = {
  suite: new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() }),
  async seal(_suite, publicKey, info, plaintext) {
    const recipientPublicKey = await this.suite.kem.importKey("raw", new Uint8Array(publicKey).buffer, true);
    const sender = await this.suite.createSenderContext({ recipientPublicKey, info: new Uint8Array(info).buffer });
    return { enc: Buffer.from(sender.enc), sealed: Buffer.from(await sender.seal(new Uint8Array(plaintext).buffer)) };
  },
  async open(_suite, seed, enc, info, sealed) {
    const recipientKey = await this.suite.kem.importKey("raw", new Uint8Array(seed).buffer, false);
    const parameters = { recipientKey, enc: new Uint8Array(enc).buffer, info: new Uint8Array(info).buffer };
    const recipient = await this.suite.createRecipientContext(parameters);
    return Buffer.from(await recipient.open(new Uint8Array(sealed).buffer));
  },
};

// --- Suites ------------------------------------------------------------------------------------------------------------
export const SUITES = {
  "PQT-1": { kem: ml_kem768_x25519, kemId: 0x647a, kdfId: 1, hash: "sha256", signature: ml_dsa65, hpke: libraryHpke },
  "PQT-2": { kem: ml_kem1024_p384, kemId: 0x0051, kdfId: 2, hash: "sha384", signature: ml_dsa87, hpke: nobleHpke },
};
export const PQT_1_WITH_NOBLE = { ...SUITES["PQT-1"], hpke: nobleHpke };

// --- AES-256-GCM and FLOE ----------------------------------------------------------------------------------------------
function gcmSeal(key, nonce, aad, plaintext) {
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(aad);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}
function gcmOpen(key, nonce, aad, sealed) {
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: 16 }).setAAD(aad).setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
}
const FLOE_PARAMETERS = Buffer.concat([number(0, 2), number(SEGMENT, 4), number(32, 4)]);
function floe(dataKey, iv, aad) {
  const derive = (key, purpose, length) => expand("sha384", key, Buffer.concat([FLOE_PARAMETERS, iv, purpose, aad]), length);
  const messageKey = derive(dataKey, text("MESSAGE_KEY:"), 48);
  const segmentKey = (index) => derive(messageKey, Buffer.concat([text("DEK:"), number((BigInt(index) >> 20n) << 20n, 8)]), 32);
  const segmentData = (index, final) => Buffer.concat([number(index, 8), number(final ? 1 : 0, 1)]);
  return {
    header: Buffer.concat([FLOE_PARAMETERS, iv, derive(dataKey, text("HEADER_TAG:"), 32)]),
    encrypt(index, plaintext, final) {
      const nonce = randomBytes(12);
      const mark = number(final ? plaintext.length + 32 : 0xffffffff, 4);
      return Buffer.concat([mark, nonce, gcmSeal(segmentKey(index), nonce, segmentData(index, final), plaintext)]);
    },
    decrypt(index, segment, final) {
      if (!segment.subarray(0, 4).equals(number(final ? segment.length : 0xffffffff, 4))) fail(`mark of segment ${index}`);
      return gcmOpen(segmentKey(index), segment.subarray(4, 16), segmentData(index, final), segment.subarray(16));
    },
  };
}
const payloadData = (body) =>
  canonical({ format: "pqtransfer-payload/1", segment_size: SEGMENT, sender: body.sender, suite: body.suite, transfer_id: body.transfer_id });

// --- Envelope: info and MAC --------------------------------------------------------------------------------------------
const stanzaInfo = (body, header, id) =>
  createHash(SUITES[body.suite].hash)
    .update(canonical({ floe_header: header.toString("hex"), key_id: id, label: "pqtransfer/v1/stanza", suite: body.suite, transfer_id: body.transfer_id }))
    .digest();
function envelopeMac(dataKey, { epoch, stanzas, suite, transfer_id }) {
  const { hash } = SUITES[suite];
  const key = expand(hash, dataKey, text("pqtransfer/v1/envelope-mac"), createHash(hash).digest().length);
  return createHmac(hash, key).update(canonical({ epoch, stanzas, suite, transfer_id })).digest();
}

// --- Signatures --------------------------------------------------------------------------------------------------------
function sign(body, context, seed) {
  const { publicKey, secretKey } = SUITES[body.suite].signature.keygen(seed);
  const signature = SUITES[body.suite].signature.sign(canonical(body), secretKey, { context: text(context) });
  return canonical({ body, signed: { public_key: Buffer.from(publicKey).toString("base64"), signature: Buffer.from(signature).toString("base64") } });
}
function verify(document, context) {
  const { signature } = SUITES[document.body.suite] ?? fail("unknown suite");
  const [publicKey, made] = [document.signed.public_key, document.signed.signature].map((field) => Buffer.from(field, "base64"));
  if (!signature.verify(made, canonical(document.body), publicKey, { context: text(context) })) fail(`signature of ${context}`);
  return { body: document.body, signer: keyId("signing", document.body.suite, publicKey) };
}

// --- The two ways ------------------------------------------------------------------------------------------------------
/** Open a container with a recipient's KEM seed; returns the plaintext and who signed. */
export async function openContainer({ manifestJson, envelopeJson, payload }, seed, suites = SUITES) {
  const { body: manifest, signer } = verify(readCanonical(manifestJson), "pqtransfer/v1/manifest");
  const { body: envelope, signer: wrapper } = verify(readCanonical(envelopeJson), "pqtransfer/v1/envelope");
  if (envelope.transfer_id !== manifest.transfer_id || envelope.suite !== manifest.suite) fail("envelope of another transfer");
  const suite = suites[manifest.suite];
  const id = keyId("kem", manifest.suite, suite.kem.getPublicKey(seed));
  const stanza = envelope.stanzas.find((one) => one.key_id === id) ?? fail("not a recipient");
  const header = Buffer.from(manifest.floe_header, "base64");
  const [enc, wrapped] = [stanza.enc, stanza.wrapped_data_key].map((field) => Buffer.from(field, "base64"));
  const dataKey = await suite.hpke.open(suite, seed, enc, stanzaInfo(manifest, header, id), wrapped);
  if (!timingSafeEqual(envelopeMac(dataKey, envelope), Buffer.from(envelope.mac, "base64"))) fail("MAC of the envelope");

  const cipher = floe(dataKey, header.subarray(10, 42), payloadData(manifest));
  if (!timingSafeEqual(cipher.header, header)) fail("FLOE header");
  const count = Math.max(1, Math.ceil(manifest.plaintext_length / CAPACITY));
  if (payload.length !== manifest.ciphertext_length || payload.length !== manifest.plaintext_length + 32 * count) fail("length");
  manifest.part_sha256.forEach((digest, part) => {
    const bytes = payload.subarray(part * manifest.part_size, (part + 1) * manifest.part_size);
    if (sha256(bytes).toString("base64") !== digest) fail(`digest of part ${part}`);
  });
  const segments = Array.from({ length: count }, (_, index) =>
    cipher.decrypt(index, payload.subarray(index * SEGMENT, (index + 1) * SEGMENT), index === count - 1));
  return { plaintext: Buffer.concat(segments), signer, wrapper, manifest };
}

/** Write a container of one part size, to public keys that are given raw. */
export async function writeContainer(plaintext, { suiteId, transferId, sender, signingSeed, recipients, partSize, metadata }) {
  const suite = SUITES[suiteId];
  const dataKey = randomBytes(32);
  const names = { sender, suite: suiteId, transfer_id: transferId };
  const cipher = floe(dataKey, randomBytes(32), payloadData(names));
  const count = Math.max(1, Math.ceil(plaintext.length / CAPACITY));
  const payload = Buffer.concat(Array.from({ length: count }, (_, index) =>
    cipher.encrypt(index, plaintext.subarray(index * CAPACITY, (index + 1) * CAPACITY), index === count - 1)));
  const digests = Array.from({ length: Math.ceil(payload.length / partSize) }, (_, part) =>
    sha256(payload.subarray(part * partSize, (part + 1) * partSize)));
  const manifest = {
    ...names, ciphertext_length: payload.length, composite_sha256: sha256(Buffer.concat(digests)).toString("base64"),
    created_at: new Date().toISOString().replace(/\.\d+Z/, "Z"), floe_header: cipher.header.toString("base64"),
    format: "pqtransfer-manifest/1", metadata, part_sha256: digests.map((digest) => digest.toString("base64")),
    part_size: partSize, plaintext_length: plaintext.length, segment_size: SEGMENT,
  };
  const stanzas = [];
  for (const raw of recipients) {
    const id = keyId("kem", suiteId, raw);
    const { enc, sealed } = await suite.hpke.seal(suite, raw, stanzaInfo(names, cipher.header, id), dataKey);
    stanzas.push({ enc: enc.toString("base64"), key_id: id, suite: suiteId, wrapped_data_key: sealed.toString("base64") });
  }
  const envelope = { epoch: 1, format: "pqtransfer-envelope/1", signer: sender, stanzas, suite: suiteId, transfer_id: transferId };
  envelope.mac = envelopeMac(dataKey, envelope).toString("base64");
  return {
    payload,
    manifestJson: sign(manifest, "pqtransfer/v1/manifest", signingSeed),
    envelopeJson: sign(envelope, "pqtransfer/v1/envelope", signingSeed),
  };
}
