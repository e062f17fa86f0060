const SHORTEST_ADMIN_TOKEN = 24;

const KNOWN_TEXTS =
	/changethis|changeme|replaceme|replacethis|replacewith|youradmin|yoursecret|yourtoken|admintoken|secrettoken|demotoken|sampletoken|exampletoken|tokenhere|password|passw0rd|insecure|donotuse|qwerty|letmein|spotoptimizer/;

const isRepetitive = (text: string): boolean => {
	if (new Set(text).size < 6 || /^(.{1,16})\1+$/s.test(text)) return true;
	let steps = 0;
	for (let at = 1; at < text.length; at++) if (Math.abs(text.charCodeAt(at) - text.charCodeAt(at - 1)) <= 1) steps++;
	return steps > (text.length - 1) * 0.6;
};

/**
 * Why a text cannot be an admin token, as the end of a sentence ("is too short …"), or undefined when it can: under 24 characters,
 * a default somebody shipped, or repeated or counted-up characters. Never repeats the text.
 */
export const adminTokenWeakness = (token: string): string | undefined => {
	if (!/^[\x21-\x7e]+$/.test(token)) return 'must be printable ASCII without spaces, as it travels in a header';
	const letters = token.toLowerCase().replace(/[^a-z0-9]/g, '');
	if (KNOWN_TEXTS.test(letters) || letters === 'admin' || letters === 'demotoken12345') return 'is a known default, which anybody can guess';
	if (token.length < SHORTEST_ADMIN_TOKEN) return `is too short: at least ${SHORTEST_ADMIN_TOKEN} characters are needed`;
	return isRepetitive(token) ? 'is made of repeated or counted-up characters, which anybody can guess' : undefined;
};

/**
 * The 32 bytes of a key written as hex, base64 or base64url, in one form: base64url without padding. Undefined for anything else,
 * and for a key whose bytes are all the same.
 */
export const normaliseKey = (text: string): string | undefined => {
	const isHex = /^[0-9a-f]{64}$/i.test(text);
	if (!isHex && !/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return undefined;
	const key = Buffer.from(text, isHex ? 'hex' : 'base64');
	return key.length === 32 && new Set(key).size > 1 ? key.toString('base64url') : undefined;
};
