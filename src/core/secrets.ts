import { createCipheriv, createDecipheriv, createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** SHA-256 of a token in hex: what is stored and looked up (256 bits of entropy need no slow hash; spec section 17 "Ours"). */
export const hashToken = (token: string): string => createHash('sha256').update(token, 'utf8').digest('hex');

/** The first characters of a token, enough to recognise it and too few to use it. */
export const prefixOf = (token: string): string => token.slice(0, 10);

/** Whether two SHA-256 hashes are the same, in constant time. */
export const sameHash = (a: string, b: string): boolean => timingSafeEqual(Buffer.from(a, 'hex'), Buffer.from(b, 'hex'));

/** Encrypts a token with AES-256-GCM for the reveal route: nonce, tag and ciphertext in base64url. The client's id is bound to it. */
export const seal = (key: Buffer, token: string, clientId: string): string => {
	const nonce = randomBytes(12);
	const cipher = createCipheriv('aes-256-gcm', key, nonce);
	cipher.setAAD(Buffer.from(clientId, 'utf8'));
	const text = Buffer.concat([cipher.update(token, 'utf8'), cipher.final()]);
	return Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url');
};

/** Reads what {@link seal} wrote; null when the key is another or the text was changed. */
export const unseal = (key: Buffer, sealed: string, clientId: string): string | null => {
	try {
		const bytes = Buffer.from(sealed, 'base64url');
		const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
		decipher.setAAD(Buffer.from(clientId, 'utf8'));
		decipher.setAuthTag(bytes.subarray(12, 28));
		return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8');
	} catch {
		return null;
	}
};
