const SHORTEST_ADMIN_TOKEN = 24;

// What is left of change-this-in-production, your_admin_token_here, demo-token-12345 and their like without these is next to nothing.
const ORDINARY_WORDS =
	/production|development|replace|change|please|example|default|password|passw0rd|insecure|optimizer|central|sample|secret|client|server|admin|token|qwerty|dummy|local|super|your|this|that|here|must|with|demo|spot|test|root|user|key|dev|prod|set|the|not|use|for|and|now|me|my|in|it|to|is|be|do|01?2345?6?7?8?9?0?|12345?6?7?8?9?0?/g;

const LEAST_BESIDE_WORDS = 12;

const isRepetitive = (text: string): boolean => {
	if (new Set(text).size < 6 || /^(.{1,16})\1+$/s.test(text)) return true;
	let steps = 0;
	for (let at = 1; at < text.length; at++) if (Math.abs(text.charCodeAt(at) - text.charCodeAt(at - 1)) <= 1) steps++;
	return steps > (text.length - 1) * 0.6;
};

/**
 * Why a text cannot be an admin token, as the end of a sentence ("is too short …"), or undefined when it can: under 24 characters,
 * a default somebody shipped or put together from the same words, or repeated or counted-up characters. Never repeats the text.
 */
export const adminTokenWeakness = (token: string): string | undefined => {
	if (!/^[\x21-\x7e]+$/.test(token)) return 'must be printable ASCII without spaces, as it travels in a header';
	if (token.length < SHORTEST_ADMIN_TOKEN) return `is too short: at least ${SHORTEST_ADMIN_TOKEN} characters are needed`;
	const beside = token
		.toLowerCase()
		.replace(/[^a-z0-9]/g, '')
		.replace(ORDINARY_WORDS, '');
	if (beside.length < LEAST_BESIDE_WORDS) return 'is a known default or made of its words, which anybody can guess';
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
