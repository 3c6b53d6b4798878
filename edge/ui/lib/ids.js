// @ts-check
// Identifiers made in the browser: 80 random bits, 16 Crockford base32 characters (edge/model/ids.py).

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** A fresh identifier. A command keeps its id when it is sent again, so that it is recorded once. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  let number = 0n;
  for (const byte of bytes) number = (number << 8n) | BigInt(byte);
  let text = "";
  for (let shift = 75n; shift >= 0n; shift -= 5n) text += ALPHABET[Number((number >> shift) & 31n)];
  return text;
}
